"""What a trained encoder is worth to somebody with few clips: five categories, 1 to 30 clips of each, new speakers.

    burst2vec train emogator/small --data_dir EmoGator --output_dir runs/small_without_five \\
        --without_categories '[Anger, Contentment, Pain, Relief, Triumph]'   # a network that never was given the five
    python benchmarks/transfer.py runs/small_without_five --data_dir EmoGator --out transfer

Every draw halves EmoGator's twenty validation speakers, whom the encoder was not trained on: one half gives the clips
to learn from, all clips of the other half are scored. Each draw is the same for all contestants:

- embedding: the frozen encoder's vector of a clip, as ``embedding:MODEL`` has it, each number scaled by the clips to
  learn from, and scikit-learn's logistic regression (C = 1);
- fine-tuned: the encoder under a new head, all of it trained;
- from scratch: the same network from random weights, which is given twice the steps;
- ComParE + SVM: openSMILE's 6,373 numbers of a clip, scaled likewise, and a linear support vector machine. It is shown
  with the C of --costs that is best on the clips scored, which no user could know: an upper bound.

Draws use the same clips over and over, so the intervals over draws are of the draw, not of new speakers. Written into
--out: transfer.json, with each draw's recall, and transfer.png.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from tqdm.auto import tqdm

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, load_bursts
from burst2vec.data.clips import read_clip
from burst2vec.drawing import COLOURS, save_figure
from burst2vec.features import find_feature_set
from burst2vec.files import write_json
from burst2vec.markdown import markdown_table
from burst2vec.scoring.significance import compare_paired
from burst2vec.shipped_models import DEFAULT_MODEL, place_of
from burst2vec.tasks import EMOGATOR_CATEGORIES

# One loud and one quiet negative category, two quiet positive ones and a loud one: chosen before any was tried.
FIVE = ("Anger", "Contentment", "Pain", "Relief", "Triumph")
SHOTS = (1, 3, 10, 30)
COSTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # as the challenge's baselines try
BATCH = 16
LEARNING_RATE = 1e-3
STEPS = 60  # of fine-tuning; twice as many from scratch
SVM = "ComParE + SVM"


class Clips:
    """The clips of the categories, of the validation speakers.

    Attributes:
        waveforms: at 16 kHz.
        classes: places in the categories, (clips,).
        speakers: (clips,).
    """

    def __init__(self, data_dir: str, categories: list[str]):
        corpus = load_bursts("emogator", data_dir=data_dir)["validation"]
        wanted = [EMOGATOR_CATEGORIES.index(name) for name in categories]
        rows = [row for row, category in enumerate(corpus["category"][:]) if category in wanted]
        corpus = corpus.select(rows)
        self.classes = np.array([wanted.index(category) for category in corpus["category"][:]])
        self.speakers = np.array(corpus["speaker"][:])
        read = tqdm(corpus.select_columns(["file_id", "audio"]), "Reading clips", unit="clip")
        self.waveforms = [read_clip(row["audio"], row["file_id"]) for row in read]

    def vectors(self, feature_set: str) -> np.ndarray:
        vector = find_feature_set(feature_set).vector
        return np.stack([vector(waveform)[0] for waveform in tqdm(self.waveforms, feature_set, unit="clip")])


def draw(clips: Clips, shots: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Clips to learn from, so many of each class, and clips to score, of two halves of the speakers.

    Raises:
        SystemExit: a class that half of the speakers have too few clips of.
    """
    names = rng.permutation(np.unique(clips.speakers))
    learns = np.isin(clips.speakers, names[: len(names) // 2])
    chosen = []
    for of_class in range(clips.classes.max() + 1):
        there = np.flatnonzero(learns & (clips.classes == of_class))
        if len(there) < shots:
            raise SystemExit(
                f"error: half of the speakers have {len(there)} clips of a class, not {shots}; see --shots"
            )
        chosen += rng.choice(there, shots, replace=False).tolist()
    return np.array(chosen), np.flatnonzero(~learns)


class Network:
    """An encoder under a linear head, trained on a few clips.

    Args:
        model: a saved model.
        categories: of the new head.
        pretrained: whether its weights are where training starts.
    """

    def __init__(self, model: str, categories: list[str], pretrained: bool):
        saved = Burst2VecConfig.from_pretrained(model)
        task = {"name": "category", "kind": "classification", "labels": categories, "loss": "cross_entropy"}
        self.settings = {"tasks": [{**task, "metric": "uar"}], "pooling": "statistics", "trunk": "identity"}
        self.encoder, self.pretrained, self.model = saved.encoder_config, pretrained, model
        self.extract = Burst2VecFeatureExtractor.from_pretrained(model)

    def batch(self, waveforms) -> dict:
        return dict(self.extract(list(waveforms), sampling_rate=self.extract.sampling_rate, return_tensors="pt"))

    def recall(self, clips: Clips, learn: np.ndarray, score: np.ndarray, steps: int, seed: int) -> float:
        """The unweighted average recall after training."""
        torch.manual_seed(seed)
        if self.pretrained:
            network = Burst2VecForMultiTask.from_encoder_pretrained(self.model, **self.settings)
        else:
            network = Burst2VecForMultiTask(Burst2VecConfig(self.encoder, **self.settings))
            if hasattr(network.encoder, "estimate_statistics"):
                each = (self.batch([clips.waveforms[place]])["input_values"][0].numpy() for place in learn)
                network.encoder.estimate_statistics(each)
        # Batch norms of few clips are noise: a trained network keeps its own.
        network.train().encoder.train(not self.pretrained)
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        rng = np.random.default_rng(seed)
        for _ in range(steps):
            places = rng.choice(learn, min(BATCH, len(learn)), replace=False)
            labels = {"category": torch.as_tensor(clips.classes[places])}
            network(**self.batch([clips.waveforms[place] for place in places]), labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        network.eval()
        said = []
        with torch.inference_mode():
            for start in range(0, len(score), BATCH):
                batch = self.batch([clips.waveforms[place] for place in score[start : start + BATCH]])
                said += network(**batch).predictions["category"].argmax(dim=1).tolist()
        return recall_score(clips.classes[score], said, average="macro")


def recall_of(classifier, vectors: np.ndarray, classes: np.ndarray, learn: np.ndarray, score: np.ndarray) -> float:
    fitted = make_pipeline(StandardScaler(), classifier).fit(vectors[learn], classes[learn])
    return recall_score(classes[score], fitted.predict(vectors[score]), average="macro")


def measure(clips: Clips, model: str, categories: list[str], options: argparse.Namespace) -> dict[str, dict[int, list]]:
    """By contestant and number of clips, the recall of each draw."""
    embedding, compare = clips.vectors(f"embedding:{model}"), clips.vectors("compare")
    tuned, scratch = (Network(model, categories, pretrained) for pretrained in (True, False))
    machines = {f"{SVM}, C = {cost:g}": cost for cost in options.costs}
    names = ["embedding", "fine-tuned", "from scratch", *machines]
    found = {name: {shots: [] for shots in options.shots} for name in names}
    with tqdm(total=len(options.shots) * options.draws, desc="Draws") as bar:
        for shots in options.shots:
            for number in range(options.draws):
                learn, score = draw(clips, shots, np.random.default_rng([options.seed, shots, number]))
                logistic = LogisticRegression(max_iter=2_000)
                found["embedding"][shots].append(recall_of(logistic, embedding, clips.classes, learn, score))
                for name, cost in machines.items():
                    machine = LinearSVC(C=cost, class_weight="balanced", dual=True, max_iter=5_000, random_state=0)
                    found[name][shots].append(recall_of(machine, compare, clips.classes, learn, score))
                for name, network, steps in (
                    ("fine-tuned", tuned, options.steps),
                    ("from scratch", scratch, 2 * options.steps),
                ):
                    found[name][shots].append(network.recall(clips, learn, score, steps, number))
                bar.update()
    best = {shots: max((found[name][shots] for name in machines), key=np.mean) for shots in options.shots}
    return {**{name: of for name, of in found.items() if name not in machines}, SVM: best}


def draw_curves(found: dict[str, dict[int, list]], classes: int, path: Path) -> None:
    figure = Figure(figsize=(6, 4.4), layout="constrained")
    axis = figure.subplots()
    for colour, (name, by_shots) in zip(COLOURS, found.items(), strict=False):
        shots, draws = list(by_shots), np.array(list(by_shots.values()))
        axis.plot(shots, draws.mean(axis=1), "o-", color=colour, label=name)
        axis.plot(shots, draws, color=colour, alpha=0.12, linewidth=0.8)
    axis.axhline(1 / classes, color="grey", linestyle=":", label="constant baseline")
    axis.set_xscale("log")
    axis.set_xticks(list(next(iter(found.values()))), list(next(iter(found.values()))))
    axis.minorticks_off()
    axis.set(xlabel="clips of each class to learn from", ylabel="unweighted average recall")
    axis.set_title("Mean of the draws, and each draw")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save_figure(figure, path)


def report(found: dict[str, dict[int, list]]) -> str:
    """Mean recalls, and each contestant against the embedding, paired by draw."""
    shots = list(next(iter(found.values())))
    rows = [("recall, mean of draws", *(f"{number} a class" for number in shots))]
    rows += [(name, *(f"{np.mean(by_shots[number]):.3f}" for number in shots)) for name, by_shots in found.items()]
    for name, by_shots in found.items():
        if name != "embedding":
            cells = []
            for number in shots:
                told = compare_paired(by_shots[number], found["embedding"][number])
                cells.append(f"{told.difference:+.3f} ({told.low:+.3f} to {told.high:+.3f})")
            rows.append((f"embedding ahead of {name}", *cells))
    return markdown_table(rows)


def main(arguments: list[str] | None = None) -> dict[str, dict[int, list]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL, help=f"a run (default: {DEFAULT_MODEL})")
    parser.add_argument("--data_dir", required=True, help="EmoGator's folder")
    parser.add_argument(
        "--categories", nargs="+", default=list(FIVE), metavar="NAME", help=f"default: {' '.join(FIVE)}"
    )
    parser.add_argument(
        "--shots", nargs="+", type=int, default=list(SHOTS), help="clips of each class (default: 1 3 10 30)"
    )
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--costs", nargs="+", type=float, default=list(COSTS), help="C of the support vector machine")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of fine-tuning (default: {STEPS})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("transfer"), help="a folder (default: transfer)")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.categories) - set(EMOGATOR_CATEGORIES)):
        parser.error(f"--categories {unknown[0]}: there are {', '.join(EMOGATOR_CATEGORIES)}")
    if told := seen_categories(place_of(options.model), options.categories):
        print(told)
    found = measure(Clips(options.data_dir, options.categories), options.model, options.categories, options)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "transfer.json", {"categories": options.categories, "recall": found})
    draw_curves(found, len(options.categories), options.out / "transfer.png")
    print(report(found))
    return found


def seen_categories(folder: str, categories: list[str]) -> str:
    """What to say of a model that was trained on the categories, as its recipe says; "" where it was not."""
    path = Path(folder, "metrics.json")
    recipe = json.loads(path.read_text(encoding="utf-8"))["recipe"] if path.is_file() else {}
    left_out = recipe.get("data", {}).get("without_categories") or []
    if seen := [name for name in categories if name not in left_out]:
        return (
            f"the model may have been trained on clips of {', '.join(seen)}: these are new speakers, but no new "
            "categories; train it with --without_categories"
        )
    return ""


if __name__ == "__main__":
    main()
