"""The rows of the results table: what is trained on what, with which settings, and scored how.

Change a row here: a figure of ``results.json`` is what its recipe gives. Settings that are not
named are the defaults of :class:`~bhar_training.training.config.TrainConfig`.
"""

from __future__ import annotations

from dataclasses import fields, replace

from bhar_training.data.augment import AugmentConfig
from bhar_training.data.negatives import DEFAULT_KINDS, NegativeKind
from bhar_training.data.skeleton_features import SkeletonAugmentConfig, SkeletonFeatureConfig
from bhar_training.models import Fusion, ModelConfig, ModelName
from bhar_training.paper.experiment import (
    DataFile,
    EnrollmentRecipe,
    Fold,
    Member,
    Metric,
    Recipe,
    Score,
    Target,
    leave_one_out,
)
from bhar_training.training.config import TrainConfig
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.errors import UsageError
from bharsdk.landmarks.skeleton import KINECT20

__all__ = ["ENROLLMENTS", "RECIPES", "recipe_named"]

# ---- data and splits ------------------------------------------------------------------------

TRADUTTORE = "github.com/traduttore/traduttore-model, packed as training/README.md describes"
WORDS = DataFile("traduttore/words.npz", "MIT", TRADUTTORE)
LETTERS = DataFile("traduttore/letters_hands.npz", "MIT", TRADUTTORE)
UTD_MHAD = DataFile(
    "utd_mhad/utd_mhad.npz",
    "research use, not to be redistributed",
    "Chen et al. 2015, UTD-MHAD",
    skeletons=True,
)
NW_UCLA = DataFile(
    "nw_ucla/nw_ucla.npz",
    "research use, not to be redistributed",
    "Wang et al. 2014, Northwestern-UCLA",
    skeletons=True,
)

TRAIN_S2 = Fold("train-s2", ("s2",), ("s1", "s3"))
TRAIN_S13 = Fold("train-s1-s3", ("s1", "s3"), ("s2",))
LETTER_FOLDS = leave_one_out(("s1", "s2", "s3"))
UTD_SUBJECTS = Fold("subjects", protocol="utd-mhad-subjects")
UCLA_VIEWS = Fold("views", protocol="nw-ucla-v3")

# ---- settings -------------------------------------------------------------------------------

PR_GCN, BHARNET = ModelConfig(ModelName.PR_GCN), ModelConfig(ModelName.BHARNET_E)
HAND, BODY = ModelConfig(ModelName.HAND_EXPERT), ModelConfig(ModelName.BODY_EXPERT)

# One signer's posture is nearly constant: other ones, or the body expert learns the block.
STRANGERS = AugmentConfig(bone_length=0.2, posture=0.1, depth=0.5)
# A letter is the shape of a hand, wherever it is: hands of another letter, or bent ones, may well
# be a letter, and what keeps some letters apart is how far two fingers are.
SPELLING = replace(
    STRANGERS,
    crop=1.0,
    posture=0.05,
    lose_hand=0.25,
    negative=0.1,
    negatives=(NegativeKind.SEAM, NegativeKind.TRANSITION, NegativeKind.NO_HANDS),
)

WORDS_PR_GCN = TrainConfig(PR_GCN, epochs=12, validation=0, bfloat16=True)
WORDS_BHARNET = TrainConfig(
    BHARNET, augment=STRANGERS, epochs=12, batch_size=16, validation=0, bfloat16=True
)
LETTERS_HAND = TrainConfig(
    HAND,
    # Letters are poses, all but two, and one follows the other: a window of 0.58 s.
    FeatureConfig(fps=12.0, frames=8),
    SPELLING,
    epochs=14,
    draws=2400,  # two of the signers recorded few
    validation=0,
    add_background=True,  # only s1 has recorded it
    bfloat16=True,
)
KINECT = SkeletonFeatureConfig.for_skeleton(KINECT20, persons=1)
# Four people train: others are of other proportions, and pause elsewhere. Chosen by leaving one of
# the four out of the training of a small CNN (training/RESULTS.md).
FEW_PEOPLE = SkeletonAugmentConfig(time_warp=0.4, bone_length=0.2, posture=0.1)
UTD_PR_GCN = TrainConfig(PR_GCN, KINECT, FEW_PEOPLE, epochs=40, validation=0, bfloat16=True)
UTD_BODY = TrainConfig(
    BODY,
    replace(KINECT, frames=32),
    FEW_PEOPLE,
    epochs=100,
    batch_size=16,
    validation=0,
    bfloat16=True,
)
# A third camera sees it as the two others do not: from the side, where shoulders are too uncertain
# to turn a person by. Nothing is done with one side alone. Chosen by training a small CNN on one
# of the training views and testing it on the other (training/RESULTS.md).
OTHER_CAMERA = SkeletonAugmentConfig(crop=0.8, turn_rad=1.0, mirror=0.5)
AS_SEEN = replace(KINECT, face_forward=False)
# One network of joints and bones does better without where people walk; two networks do not.
UCLA_PR_GCN = replace(UTD_PR_GCN, features=replace(AS_SEEN, centered=True), augment=OTHER_CAMERA)
UCLA_BODY = replace(UTD_BODY, features=replace(AS_SEEN, frames=32), augment=OTHER_CAMERA)
TWO_MODALITIES = (Modality.JOINT, Modality.BONE)
MOTIONS = (Modality.JOINT_MOTION, Modality.BONE_MOTION)


def _names(members: tuple[Member, ...]) -> tuple[str, ...]:
    return tuple(member.name for member in members)


def _of_joints(config: TrainConfig) -> TrainConfig:
    return replace(config, features=replace(config.features, modalities=(Modality.JOINT,)))


def _causal(config: TrainConfig) -> TrainConfig:
    """Running means go over as many frames as the clips have."""
    return replace(config, model=replace(config.model, window=config.features.frames))


# ---- words ----------------------------------------------------------------------------------


def _one_each(
    name: str, config: TrainConfig, modalities: tuple[Modality, ...]
) -> tuple[Member, ...]:
    """The same training on each modality alone: ``body-joint``, ``body-bone``, ..."""
    return tuple(
        Member(
            f"{name}-{modality.value}",
            replace(config, features=replace(config.features, modalities=(modality,))),
        )
        for modality in modalities
    )


PR_GCN_S2 = Member("pr-gcn", WORDS_PR_GCN, row="words-s2")
EXPERTS_S2 = tuple(
    member.of("words-s2-bharnet")
    for member in _one_each("bharnet-e", WORDS_BHARNET, TWO_MODALITIES)
)
# Both read joints and bones in one model; what they learn from has one model for each.
PR_GCN_TAUGHT = Member("pr-gcn-taught", WORDS_PR_GCN, row="words-s2-taught").taught_by(
    *_names(EXPERTS_S2)
)
BHARNET_TAUGHT = Member("bharnet-e-taught", WORDS_BHARNET, row="words-s2-taught").taught_by(
    *_names(EXPERTS_S2)
)
PR_GCN_CAUSAL = Member("pr-gcn-causal", _causal(WORDS_PR_GCN))
BHARNET_CAUSAL = Member("bharnet-e-causal", _causal(_of_joints(WORDS_BHARNET)))
BHARNET_S13 = Member(
    "bharnet-e", replace(WORDS_BHARNET, epochs=10, loss_weights=(1.0, 0.3, 0.3)), row="words-s13"
)
PR_GCN_S13 = Member("pr-gcn", replace(WORDS_PR_GCN, epochs=10), row="words-s13").taught_by(
    BHARNET_S13.name
)
HARD_TARGETS = (
    Target(Metric.TOP1, 92, "79.3 / 81.2"),
    Target(Metric.MACRO_RECALL, 97, "- / 94"),
    Target(Metric.BACKGROUND_RECALL, 80, "- / 23"),
)
# Within 3 points of the larger models, at a fraction of their cost.
PR_GCN_TARGETS = (
    *HARD_TARGETS,
    Target(Metric.TOP1, -3, than=("words-s2-bharnet", "BHaRNet-E, joint + bone")),
)
EASY_TARGETS = (Target(Metric.TOP1, 99.7, "98.8 / 99.4"),)

WORDS_SHIP = Recipe(
    "words-s13",
    "words, train s1 + s3, test s2: what ships",
    WORDS,
    (TRAIN_S13,),
    (BHARNET_S13, PR_GCN_S13),
    (
        Score(
            "PR-GCN",
            (PR_GCN_S13.name,),
            targets=(*EASY_TARGETS, Target(Metric.TOP1, -3, than=("words-s13", "BHaRNet-E"))),
        ),
        Score("BHaRNet-E", (BHARNET_S13.name,), targets=EASY_TARGETS),
    ),
)
WORDS_ROWS = (
    Recipe(
        "words-s2",
        "words, train s2, test s1 + s3",
        WORDS,
        (TRAIN_S2,),
        (PR_GCN_S2,),
        (Score("PR-GCN", ("pr-gcn",), plot="PR-GCN", targets=PR_GCN_TARGETS),),
    ),
    Recipe(
        "words-s2-bharnet",
        "words, train s2, test s1 + s3",
        WORDS,
        (TRAIN_S2,),
        EXPERTS_S2,
        (
            Score("BHaRNet-E, joint", ("bharnet-e-joint",)),
            Score("BHaRNet-E, bone", ("bharnet-e-bone",)),
            Score(
                "BHaRNet-E, joint + bone",
                _names(EXPERTS_S2),
                plot="BHaRNet-E, joint + bone",
                targets=HARD_TARGETS,
            ),
            Score("BHaRNet-E, joint + bone, Noisy-OR", _names(EXPERTS_S2), fusion=Fusion.NOISY_OR),
        ),
    ),
    Recipe(
        "words-s2-taught",
        "words, train s2, test s1 + s3, taught by BHaRNet-E joint + bone",
        WORDS,
        (TRAIN_S2,),
        (*EXPERTS_S2, PR_GCN_TAUGHT, BHARNET_TAUGHT),
        (
            Score("PR-GCN", ("pr-gcn-taught",), plot="PR-GCN, taught", targets=PR_GCN_TARGETS),
            Score("BHaRNet-E", ("bharnet-e-taught",), plot="BHaRNet-E", targets=HARD_TARGETS),
            Score(
                "PR-GCN and BHaRNet-E, Noisy-OR",
                ("pr-gcn-taught", "bharnet-e-taught"),
                fusion=Fusion.NOISY_OR,
                plot="PR-GCN and BHaRNet-E",
                targets=HARD_TARGETS,
            ),
        ),
    ),
    Recipe(
        "words-s2-causal",
        "words, train s2, test s1 + s3, the form that runs frame by frame",
        WORDS,
        (TRAIN_S2,),
        (PR_GCN_CAUSAL,),
        (
            Score(
                "PR-GCN",
                (PR_GCN_CAUSAL.name,),
                targets=(Target(Metric.TOP1, -1, than=("words-s2", "PR-GCN")),),
            ),
        ),
    ),
    Recipe(
        "words-s2-causal-bharnet",
        "words, train s2, test s1 + s3, the form that runs frame by frame",
        WORDS,
        (TRAIN_S2,),
        (BHARNET_CAUSAL,),
        (
            Score(
                "BHaRNet-E, joint",
                (BHARNET_CAUSAL.name,),
                targets=(Target(Metric.TOP1, -1, than=("words-s2-bharnet", "BHaRNet-E, joint")),),
            ),
        ),
    ),
    WORDS_SHIP,
)

HELD_OUT = 0.1


def _held_out(recipe: Recipe) -> Recipe:
    """The row of what ships, trained on nine tenths of the blocks and calibrated on the last.

    What ships has learnt every block, so none is left that could say how sure it may be: its
    temperature and threshold are those of these siblings.
    """
    name = f"{recipe.name}-held-out"
    members = tuple(
        replace(member, config=replace(member.config, validation=HELD_OUT)).of(name)
        for member in recipe.members
    )
    title = f"{recipe.title}, less a tenth of the blocks, to calibrate on"
    scores = tuple(replace(score, targets=()) for score in recipe.scores)
    return replace(recipe, name=name, title=title, members=members, scores=scores)


def _degraded() -> Recipe:
    """What a lost hand costs, fused by the mean of the logits and by Noisy-OR."""
    scores = []
    for fusion, name in ((Fusion.MEAN, "mean"), (Fusion.NOISY_OR, "Noisy-OR")):
        clean = ("words-s2-degraded", f"clean, {name}")
        bharnet = Score(clean[1], (BHARNET_TAUGHT.name,), streams=fusion)
        little = (Target(Metric.TOP1, -3, than=clean),)
        much = (Target(Metric.TOP1, -10, than=clean),)
        scores += [
            bharnet,
            replace(bharnet, name=f"30 % dropped, {name}", drop_hands=0.3, targets=little),
            replace(bharnet, name=f"left lost, {name}", lose_hand="left", targets=much),
            replace(bharnet, name=f"right lost, {name}", lose_hand="right", targets=much),
        ]
    return Recipe(
        "words-s2-degraded",
        "words, train s2, test s1 + s3, BHaRNet-E with worse hands",
        WORDS,
        (TRAIN_S2,),
        (*EXPERTS_S2, BHARNET_TAUGHT),
        tuple(scores),
    )


def _ablation() -> Recipe:
    """PR-GCN without one augmentation after another, and with those that are off by default.

    Each is trained half as long as its row.
    """
    config = replace(WORDS_PR_GCN, epochs=WORDS_PR_GCN.epochs // 2)
    augment = config.augment
    assert isinstance(augment, AugmentConfig)
    on = [f.name for f in fields(augment) if isinstance(f.default, float) and f.default]
    variants = {
        "all": augment,
        **{f"without {name}": replace(augment, **{name: 0.0}) for name in on},  # type: ignore[arg-type]  # floats
        "with lose_joints": replace(augment, lose_joints=0.2),
        "with wandering arms": replace(augment, negatives=(*DEFAULT_KINDS, NegativeKind.WANDER)),
        "with other people": STRANGERS,
    }
    members = {
        name: Member(name.replace(" ", "-"), replace(config, augment=each))
        for name, each in variants.items()
    }
    return Recipe(
        "ablation",
        f"words, train s2, test s1 + s3, PR-GCN, {config.epochs} epochs",
        WORDS,
        (TRAIN_S2,),
        tuple(members.values()),
        tuple(Score(name, (member.name,)) for name, member in members.items()),
    )


# ---- letters, skeleton data sets, what ships ------------------------------------------------

HAND_LETTERS = Member("hand-expert", LETTERS_HAND, row="letters")
LETTERS_SHIP = Recipe(
    "letters-ship",
    "the letters that ship, tested on s3",
    LETTERS,
    LETTER_FOLDS[2:],
    (HAND_LETTERS,),
    (Score("hand expert", ("hand-expert",)),),
)
LETTERS_ROWS = (
    Recipe(
        "letters",
        "letters, leave one signer out",
        LETTERS,
        LETTER_FOLDS,
        (HAND_LETTERS,),
        (
            Score(
                "hand expert",
                ("hand-expert",),
                targets=(Target(Metric.TOP1, 88, "69.8 / -"),),
            ),
        ),
    ),
    LETTERS_SHIP,
)


LETTERS_LEFT_OUT = replace(LETTERS_HAND, epochs=10, validation=HELD_OUT)

# Drawn by chance: five of those that s3 has recorded, and four that s3 has not, on which (of s1 and
# s2) the scheme of enrollment was chosen; of the other letters (numpy's default_rng of the signer's
# number) five of s2's and four of s1's, who has fewer; three of the fifteen words.
ENROLLMENTS = {
    "letters": EnrollmentRecipe(
        LETTERS,
        Fold("enrollment-letters", ("s1", "s2"), ("s3",)),
        ("e", "i", "k", "m", "r", "s", "t", "w", "y"),
        LETTERS_LEFT_OUT,
    ),
    "letters-s1": EnrollmentRecipe(
        LETTERS,
        Fold("enrollment-letters-s1", ("s2", "s3"), ("s1",)),
        ("j", "m", "u", "z"),
        LETTERS_LEFT_OUT,
    ),
    "letters-s2": EnrollmentRecipe(
        LETTERS,
        Fold("enrollment-letters-s2", ("s1", "s3"), ("s2",)),
        ("c", "e", "g", "j", "p"),
        LETTERS_LEFT_OUT,
    ),
    "words": EnrollmentRecipe(
        WORDS,
        Fold("enrollment-words", ("s1", "s3"), ("s2",)),
        ("no", "please", "tea"),
        replace(WORDS_PR_GCN, epochs=8),
    ),
}


def _skeleton_rows(
    name: str,
    title: str,
    data: DataFile,
    fold: Fold,
    expert: TrainConfig,
    pr_gcn: TrainConfig,
    reach: tuple[Target, Target],
) -> tuple[Recipe, ...]:
    """Of joint + bone, of these and their motions, and of PR-GCN.

    expert: what trains each modality's. reach: of the first two rows.
    """
    two = tuple(member.of(name) for member in _one_each("body", expert, TWO_MODALITIES))
    four = (*two, *_one_each("body", expert, MOTIONS))
    ensembles = ((name, "joint + bone", two), (f"{name}-four", "four modalities", four))
    rows = []
    for (row, what, members), target in zip(ensembles, reach, strict=True):
        score = Score(what, _names(members), targets=(target,))
        rows.append(Recipe(row, title, data, (fold,), members, (score,)))
    near = Target(Metric.TOP1, -3, than=(name, "joint + bone"))
    score = Score("PR-GCN", ("pr-gcn",), targets=(near,))
    member = Member("pr-gcn", pr_gcn)
    return (*rows, Recipe(f"{name}-pr-gcn", title, data, (fold,), (member,), (score,)))


SKELETON_ROWS = (
    *_skeleton_rows(
        "utd-mhad",
        "UTD-MHAD, odd subjects train, even ones test",
        UTD_MHAD,
        UTD_SUBJECTS,
        UTD_BODY,
        UTD_PR_GCN,
        (Target(Metric.TOP1, 98.5, "83.0 / 97.4"), Target(Metric.TOP1, 98.5, "83.0 / 97.4")),
    ),
    *_skeleton_rows(
        "nw-ucla",
        "NW-UCLA, views 1 + 2 train, view 3 tests",
        NW_UCLA,
        UCLA_VIEWS,
        UCLA_BODY,
        UCLA_PR_GCN,
        (Target(Metric.TOP1, 95, "74.4 / 81"), Target(Metric.TOP1, 96.5, "74.4 / 81")),
    ),
)

ROWS = (
    *(*WORDS_ROWS, _held_out(WORDS_SHIP), _degraded()),
    *(*LETTERS_ROWS, _held_out(LETTERS_SHIP)),
    *(*SKELETON_ROWS, _ablation()),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in ROWS}
"""Every row by its name, in the order in which tables show them."""


def recipe_named(name: str) -> Recipe:
    """Return the row with that name. Raises UsageError naming the rows."""
    if name not in RECIPES:
        raise UsageError(f"reproduce: got row {name!r}, expected one of {', '.join(RECIPES)}")
    return RECIPES[name]
