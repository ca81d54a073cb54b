"""What moves the weights of tasks' losses while a model is trained, as a file names it."""

from typing import Annotated, Literal

from pydantic import Field

from recmtl.schema.config import Config

Place = Literal["features", "parameters"]


class Weighting(Config):
    """What all have: their say on models that they cannot weigh."""

    def refusal(self, embeds: bool, own_tables: bool, processes: int) -> str | None:
        """Why not this model, or None: whether it embeds features, each task by tables of its own."""
        return None


class Uncertainty(Weighting):
    """Weights by each task's variance, which is learned with the model (Kendall et al., CVPR 2018)."""

    kind: Literal["uncertainty"] = "uncertainty"


class DynamicAverage(Weighting):
    """Dynamic weight averaging: more to tasks whose loss fell less (Liu et al., CVPR 2019)."""

    kind: Literal["dwa"] = "dwa"
    temperature: float = Field(default=2.0, gt=0.0, description="the higher, the more equal")


class FAMO(Weighting):
    """Losses that fall at one rate, told by the losses alone (Liu et al., NeurIPS 2023)."""

    kind: Literal["famo"] = "famo"
    learning_rate: float = Field(default=0.025, gt=0.0, description="of the tasks' logits, by Adam")
    decay: float = Field(default=1e-3, ge=0.0, description="of the logits: the paper's γ")


class ByGradients(Weighting):
    """What weighs tasks by the inner products of their gradients, and where those are taken."""

    on: Place = Field(
        default="features",
        description="the embedded batch, or all parameters that move two tasks or more",
    )

    def refusal(self, embeds: bool, own_tables: bool, processes: int) -> str | None:
        if self.on == "features" and not embeds:
            return "weighting.on = 'features': none is embedded; take 'parameters'"
        if self.on == "features" and own_tables:
            return "weighting.on = 'features': each task has those of its own tables; take 'parameters'"
        if self.on == "parameters" and processes > 1:
            return f"weighting.on = 'parameters' is for one process, not {processes}; take 'features'"
        return None


class GradNorm(ByGradients):
    """Gradients of one norm, larger where a task is behind (Chen et al., ICML 2018)."""

    kind: Literal["gradnorm"] = "gradnorm"
    alpha: float = Field(default=1.5, ge=0.0, description="how much more those behind get")
    learning_rate: float = Field(default=0.025, gt=0.0, description="of the weights, by Adam")


class PCGrad(ByGradients):
    """Gradients that conflict lose what conflicts (Yu et al., NeurIPS 2020)."""

    kind: Literal["pcgrad"] = "pcgrad"


class MGDA(ByGradients):
    """The shortest mean of gradients (Désidéri 2012; Sener and Koltun, NeurIPS 2018)."""

    kind: Literal["mgda"] = "mgda"


class CAGrad(ByGradients):
    """Near the mean gradient, what helps the worst task most (Liu et al., NeurIPS 2021)."""

    kind: Literal["cagrad"] = "cagrad"
    c: float = Field(default=0.4, ge=0.0, lt=1.0, description="how far from the mean, of its length")


class IMTLG(ByGradients):
    """A sum whose projections on all gradients are equal (Liu et al., ICLR 2021)."""

    kind: Literal["imtl_g"] = "imtl_g"


class NashMTL(ByGradients):
    """The bargaining solution between tasks (Navon et al., ICML 2022)."""

    kind: Literal["nash_mtl"] = "nash_mtl"


class UPGrad(ByGradients):
    """The sum of gradients, each projected so that it harms no task (Quinton and Rey 2024)."""

    kind: Literal["upgrad"] = "upgrad"


WeightingConfig = Annotated[
    Uncertainty | DynamicAverage | FAMO | GradNorm | PCGrad | MGDA | CAGrad | IMTLG | NashMTL | UPGrad,
    Field(discriminator="kind"),
]
