"""What a search leaves behind: the coefficients, the ranking, the page with its pictures."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from effnet.errors import EffnetError
from effnet.files import write_text
from effnet.sizing.search.page import PAGE_FILE, write_search_page
from effnet.sizing.search.plan import Plan
from effnet.sizing.search.ranking import Ranking, Row
from effnet.spec import coefficients as coefficient_files
from effnet.spec.scale import Coefficients

COEFFICIENTS_FILE = "coefficients.json"
RANKING_FILE = "ranking.json"


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search."""

    plan: Plan
    ranking: Ranking
    command: str
    """The command line, if there was one."""

    @property
    def best(self) -> Row:
        """The best candidate."""
        assert self.ranking.best is not None  # `finished` refuses a ranking without one
        return self.ranking.best

    @property
    def coefficients(self) -> Coefficients:
        """The best coefficients."""
        return self.best.candidate.coefficients

    @property
    def coefficients_path(self) -> Path:
        """The file of the best coefficients."""
        return self.plan.folder / COEFFICIENTS_FILE

    @property
    def page_path(self) -> Path:
        """The page."""
        return self.plan.folder / PAGE_FILE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plan, ranking = self.plan, self.ranking
        comparison = ranking.comparison
        return {
            "base": plan.space.base.name,
            "data": plan.dataset.name,
            "phi": plan.config.phi,
            "target_macs": plan.space.target,
            "objective": plan.search.objective,
            "seeds": list(plan.seeds),
            "best": asdict(self.coefficients),
            "verdict": ranking.verdict,
            "comparison": None if comparison is None else comparison.to_dict(),
            "ranking": [row.to_dict() for row in ranking.ranked],
            "not_ranked": [row.to_dict() for row in ranking.others],
            "coefficients_file": str(self.coefficients_path),
            "page": str(self.page_path),
        }


def finished(plan: Plan, ranking: Ranking, command: str) -> SearchResult:
    """Return the result of a ranking.

    Raises:
        EffnetError: no candidate was trained with all seeds; says why the first was not.

    """
    if ranking.best is None:
        why = "; ".join(f"{row.candidate.label}: {row.note}" for row in ranking.others[:3])
        raise EffnetError(f"no candidate was trained with all seeds: {why}")
    return SearchResult(plan, ranking, command)


def write_results(result: SearchResult) -> None:
    """Write coefficients, ranking, pictures and page into the folder of the search."""
    plan, best = result.plan, result.best
    about = {
        "base": plan.space.base.name,
        "phi": plan.config.phi,
        "data": plan.dataset.name,
        "val_top1": best.mean,
        "spread": best.spread,
        "seeds": len(plan.seeds),
        "candidates": len(result.ranking.ranked),
        "verdict": result.ranking.verdict,
    }
    coefficient_files.save(result.coefficients, result.coefficients_path, about)
    content = json.dumps(result.to_dict(), indent=2, ensure_ascii=False)
    write_text(plan.folder / RANKING_FILE, content + "\n")
    write_search_page(plan, result.ranking, result.command)
