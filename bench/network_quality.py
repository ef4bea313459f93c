"""How good ``ctfast train`` is on patients that it has not seen: the table of docs/network.md.

python bench/network_quality.py DATA NAME[:SEEDS]...   # measure these rows (see ROWS) and write the table
python bench/network_quality.py                # write the table from the results that are there

Patient-grouped 5-fold cross-validation, as ``ctfast evaluate --folds 5`` does it, with the histogram baselines on the
same folds. Everything that a row chooses (window, epochs) it chooses from the training folds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

import numpy as np  # noqa: E402

from bench.report import between  # noqa: E402
from ctfast.batch.atomic import write_json  # noqa: E402
from ctfast.model import ModelConfig, NetworkLearner, Preprocessing, cross_validate, load_dataset  # noqa: E402
from ctfast.model.data.dataset import Dataset  # noqa: E402
from ctfast.model.evaluation.baselines import Predict  # noqa: E402
from ctfast.model.recipe import Recipe  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "quality.json"
PAGE = ROOT / "docs" / "network.md"
FOLDS = 5

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("`ctfast train DATA`", {}),
    "single": ("`--members 1`", {"members": 1}),
    "seed-size": ("`--size 256 --members 1` (the seed's 14,839,234 parameters)", {"side": 256, "members": 1}),
    "seed": ("`--recipe seed`", {"name": "seed"}),
}
"""Name, what one types, and what differs from the recipe."""


class Recorded:
    """A learner whose predictions are kept in the results as they come: a run that is stopped goes on where it was."""

    def __init__(self, learner: NetworkLearner, results: dict[str, Any]) -> None:
        self.name, self._learner, self._results = learner.name, learner, results
        self._kept = results.setdefault(learner.name, {}).setdefault("predictions", {})

    def learn(self, training: Dataset, seed: int) -> Predict:
        """Train only if a prediction is missing."""
        kept = self._kept.setdefault(str(seed), {})

        def predict(test: Dataset) -> np.ndarray:
            names = [Path(name).name for name in test.files]
            if not set(names) <= set(kept):
                found = self._learner.learn(training, seed)(test)
                kept.update(zip(names, found.round(6).tolist()))
                save(self._results)
            return np.array([kept[name] for name in names])

        return predict


def save(results: dict[str, Any]) -> None:
    """Whole or not at all."""
    write_json(RESULTS, results, indent=None)


def measure(data: str, name: str, seeds: tuple[int, ...], results: dict[str, Any]) -> None:
    """One row: the learner's and the baselines' accuracy and AUC with intervals."""
    words = dict(ROWS[name][1])
    members = words.pop("members", None)
    recipe = Recipe.for_set(60, words.pop("name", "auto"), **words)
    dataset = load_dataset(data, preprocessing=Preprocessing(image_size=(recipe.side, recipe.side)))
    network = ModelConfig(image_size=(recipe.side, recipe.side), classes=len(dataset.classes))
    number = members or recipe.members
    learner = NetworkLearner(recipe.config, network, name=name, members=number, chooses_window=recipe.chooses_window)
    recorded = Recorded(learner, results)
    found = cross_validate(dataset, recorded, folds=FOLDS, seeds=seeds, on_fold=lambda line: print(line, flush=True))
    made = found.to_dict()
    results[name] |= {key: made[key] for key in ("seeds", "slices", "patients", "outcomes")}
    save(results)


def table(results: dict[str, Any]) -> str:
    """Markdown: a line for each row that was measured, and for the baselines."""
    lines = [
        "| recipe | seeds | accuracy | by patient | AUC | gain over the best baseline |",
        "|---|---|---|---|---|---|",
    ]
    baselines: dict[str, Any] = {}
    for name, (typed, _) in ROWS.items():
        if "outcomes" in results.get(name, {}):
            learner, *others = results[name]["outcomes"]
            lines.append(_line(typed, learner, len(results[name]["seeds"])))
            if len(results[name]["seeds"]) > len(baselines.get("seeds", ())):
                baselines = {"seeds": results[name]["seeds"], "outcomes": others}
    others = baselines.get("outcomes", ())
    lines += [_line(f"baseline: {outcome['name']}", outcome, len(baselines["seeds"])) for outcome in others]
    return "\n".join(lines) + "\n"


def _line(title: str, outcome: dict[str, Any], seeds: int) -> str:
    accuracy, patient, auc, gain = (outcome[k] for k in ("accuracy", "accuracy_by_patient", "auc", "gain"))
    over = "" if gain is None else f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
    spans = [f"{v['low']:.3f} to {v['high']:.3f}" for v in (accuracy, patient, auc)]
    return (
        f"| {title} | {seeds} | {accuracy['value']:.3f} ({spans[0]}) | {spans[1]} | {auc['value']:.3f} ({spans[2]}) "
        f"| {over} |"
    )


def main(arguments: list[str]) -> None:
    """Measure what is named, then write the table."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in arguments[1:]:
        name, _, seeds = name.partition(":")
        measure(arguments[0], name, tuple(range(int(seeds or 5))), results)
    filled = between(PAGE.read_text(encoding="utf-8"), "the network's quality", table(results))
    PAGE.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
