"""The page of a search: one HTML file that needs nothing else."""

from datetime import datetime
from pathlib import Path

from effnet import config as configuration
from effnet.evaluation.page import Picture, flatten, machine, picture, write_page
from effnet.sizing.search.pictures import draw_cost, draw_learning, draw_surface
from effnet.sizing.search.plan import Plan
from effnet.sizing.search.ranking import Ranking, interval, signed

PAGE_FILE = "search.html"
HERE = "effnet.sizing.search"


def write_search_page(plan: Plan, ranking: Ranking, command: str) -> Path:
    """Write the page and its pictures into the folder of the search."""
    path = plan.folder / PAGE_FILE
    content = {
        "plan": plan,
        "ranking": ranking,
        "best": ranking.ranked[0],
        "charts": draw_charts(plan, ranking),
        "facts": facts(plan, ranking, command),
        "settings": flatten(configuration.to_dict(plan.config)),
        "signed": signed,
        "interval": interval,
        "command": follow_up(plan),
    }
    write_page(path, PAGE_FILE, content, package=HERE)
    return path


def draw_charts(plan: Plan, ranking: Ranking) -> dict[str, Picture]:
    """Draw the pictures, by name."""
    folder = plan.folder
    draw_surface(ranking, plan.space, folder / "surface.png")
    draw_cost(ranking, plan.space, folder / "cost.png")
    draw_learning(ranking, folder / "learning.png")
    return {name: picture(folder / f"{name}.png") for name in ("surface", "cost", "learning")}


def follow_up(plan: Plan) -> str:
    """Return the command that uses what was found."""
    base = plan.search.base
    return f"effnet scale {base} --phi 2 --coefficients {plan.folder / 'coefficients.json'}"


def facts(plan: Plan, ranking: Ranking, command: str) -> list[tuple[str, str]]:
    """Return how the numbers came about, as term and value."""
    space, search = plan.space, plan.search
    outcomes = [outcome for row in (*ranking.ranked, *ranking.others) for outcome in row.outcomes]
    machines = sorted({machine(outcome.environment) for outcome in outcomes})
    now = datetime.now().astimezone()
    rows = [
        ("Written", f"{now:%Y-%m-%d %H:%M %Z}"),
        ("Command", command),
        ("Data", f"{plan.dataset.name}; {len(outcomes[0].correct):,} images to choose by with each seed"),
        (
            "Base",
            f"{space.base.name} at {space.base.resolution}×{space.base.resolution} pixels, φ = {space.phi:g}",
        ),
        (
            "Candidates",
            f"{len(plan.candidates)}: coefficients in steps of {space.step:g}, α·β²·γ² within "
            f"{space.tolerance:.0%} of 2, multiply-adds of the rounded network within "
            f"{space.cost_tolerance:.0%} of 2^φ times the base's ({space.target / 1e6:,.1f} M); {how(plan)}",
        ),
        ("Ranked by", OBJECTIVES[search.objective]),
        (
            "Trainings",
            f"{len(outcomes)}, {sum(each.seconds for each in outcomes) / 60:,.1f} minutes together",
        ),
        ("On", "; ".join(machines)),
    ]
    return [(term, value) for term, value in rows if value]


OBJECTIVES: dict[str, str] = {
    "accuracy": "mean validation accuracy over the seeds",
    "tradeoff": "mean of validation accuracy · (multiply-adds / target)^−0.07 over the seeds",
}


def how(plan: Plan) -> str:
    """Say which of the candidates were tried."""
    tried = "all are tried" if plan.search.sampler == "grid" else f"{plan.search.trials} draws by TPE"
    return f"{tried}, first seeds with successive halving" if plan.search.halving else tried
