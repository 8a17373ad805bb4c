"""Options of `python -m benchmarks`."""

import dataclasses
import pathlib

from transformer.config import ConfigError, check_options, option

# Options that name a place on this machine. They say nothing about what was measured.
PLACES = {"peers_python", "run", "source", "data_dir", "pretrained", "json"}


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured, against which libraries, and how often.

    Each field's help explains it.
    """

    sizes: tuple = option(
        ("small", "base"), "of train and memory: tiny, small, base, big (benchmarks/work.py)"
    )
    peers: tuple = option((), "who else runs; none: only ours; all: every peer of the benchmark")
    peers_python: str = option(
        "", "interpreter that has the peers (pip install '.[peers]'); empty: this one"
    )
    rounds: int = option(10, "interleaved rounds", minimum=1)
    run: str = option("", "finished run, to decode with or to race marian, opennmt or bert with")
    source: str = option("", "file of source texts for decode, one a line")
    data_dir: str = option(
        "", "folder of multi30k's files for data, learn and ablation, of the recipe's for scores"
    )
    recipe: str = option("", "of scores: NAME of configs/NAME.cfg")
    pretrained: str = option("", "of scores, for recipes of finetune.py: as there")
    precision: str = option(
        "",
        "of the trainings of scores (empty: the committed figures', or the recipe's) and ablation "
        "(empty: float32), and of the "
        "peer of marian, opennmt and bert (empty: the run's)",
        choices=("", "float32", "bfloat16"),
    )
    steps: int = option(1000, "updates of each training of learn and ablation", minimum=1)
    seeds: int = option(3, "of learn and scores", minimum=1)
    modules: tuple = option(
        (), "of mutants: files such as transformer/model/attention.py; none: all that compute"
    )
    mutants: int = option(
        0, "of mutants: how many of each module, drawn at random; 0: all", minimum=0
    )
    json: str = option("", "file for the result, beside the table on stdout")

    def __post_init__(self):
        check_options(self)

    def require(self, command, *names):
        """Checks that options name existing files or folders.

        Args:
            command: name of the benchmark, for the message.
            *names: names of the options.

        Raises:
            ConfigError: An option is empty or names something that does not exist.
        """
        for name in names:
            if not pathlib.Path(getattr(self, name) or "?").exists():
                raise ConfigError(
                    f"{command} needs --{name}, a place that there is. Received: "
                    f"{getattr(self, name)!r}."
                )

    def given(self):
        """Returns a dict of the options that differ from their defaults, without the `PLACES`."""
        values = {
            field.name: (getattr(self, field.name), field.default)
            for field in dataclasses.fields(self)
        }
        return {
            name: value
            for name, (value, default) in values.items()
            if name not in PLACES and value != default
        }
