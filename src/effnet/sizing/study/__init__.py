"""Study: which way of scaling wins at equal cost, and can it be foreseen (Figures 3 and 8, Table 7)?"""
