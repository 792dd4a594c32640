"""The small world that the starter model draws: subjects, backgrounds, and the words for both.

A picture shows one subject on one background of a named colour. This module only knows names; the
pictures of the subjects are in ``data.py``.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

#: Background colours, sRGB 0…255.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "black": (24, 24, 28),
    "red": (226, 54, 54),
    "orange": (245, 140, 40),
    "yellow": (250, 214, 70),
    "green": (70, 176, 90),
    "blue": (64, 120, 226),
    "purple": (140, 82, 210),
    "pink": (246, 150, 190),
    "gray": (140, 144, 150),
    "brown": (128, 84, 52),
    "teal": (48, 170, 170),
}
BACKGROUND_SYNONYMS: dict[str, tuple[str, ...]] = {"gray": ("grey",), "purple": ("violet",)}

#: The subjects trained most, by code point, with the names people would type. First name first.
CORE_SUBJECTS: dict[str, tuple[str, ...]] = {
    # animals
    "1f431": ("cat", "kitten", "cat face"),
    "1f436": ("dog", "puppy", "dog face"),
    "1f98a": ("fox",),
    "1f43b": ("bear", "brown bear"),
    "1f43c": ("panda",),
    "1f428": ("koala",),
    "1f42f": ("tiger", "tiger face"),
    "1f981": ("lion",),
    "1f42e": ("cow", "cow face"),
    "1f437": ("pig", "piglet", "pig face"),
    "1f438": ("frog",),
    "1f435": ("monkey", "monkey face"),
    "1f430": ("rabbit", "bunny", "rabbit face"),
    "1f42d": ("mouse", "mouse face"),
    "1f984": ("unicorn",),
    "1f427": ("penguin",),
    "1f989": ("owl",),
    "1f424": ("chick", "baby chick"),
    "1f986": ("duck",),
    "1f9a9": ("flamingo",),
    "1f422": ("turtle", "tortoise"),
    "1f433": ("whale", "spouting whale"),
    "1f42c": ("dolphin",),
    "1f988": ("shark",),
    "1f419": ("octopus",),
    "1f41f": ("fish",),
    "1f980": ("crab",),
    "1f41d": ("bee", "honeybee"),
    "1f98b": ("butterfly",),
    "1f41e": ("ladybug", "ladybird", "lady beetle"),
    "1f40c": ("snail",),
    "1f418": ("elephant",),
    "1f992": ("giraffe",),
    "1f996": ("dinosaur", "t-rex", "tyrannosaurus"),
    # plants
    "1f33b": ("sunflower",),
    "1f339": ("rose",),
    "1f337": ("tulip",),
    "1f335": ("cactus",),
    "1f333": ("tree", "deciduous tree"),
    "1f334": ("palm tree", "palm"),
    "1f344": ("mushroom", "toadstool"),
    "1f341": ("maple leaf",),
    # food and drink
    "1f34e": ("red apple", "apple"),
    "1f34f": ("green apple",),
    "1f34c": ("banana",),
    "1f34a": ("tangerine", "mandarin"),
    "1f34b": ("lemon",),
    "1f349": ("watermelon",),
    "1f353": ("strawberry",),
    "1f352": ("cherries",),
    "1f347": ("grapes",),
    "1f34d": ("pineapple",),
    "1f350": ("pear",),
    "1f951": ("avocado",),
    "1f955": ("carrot",),
    "1f345": ("tomato",),
    "1f346": ("eggplant", "aubergine"),
    "1f966": ("broccoli",),
    "1f355": ("pizza",),
    "1f354": ("hamburger", "burger"),
    "1f369": ("doughnut", "donut"),
    "1f370": ("cake", "shortcake"),
    "1f9c1": ("cupcake",),
    "1f366": ("ice cream", "soft ice cream"),
    "1f36a": ("cookie", "biscuit"),
    "1f373": ("fried egg", "cooking"),
    "2615": ("coffee", "cup of coffee", "hot beverage"),
    # travel, sky and places
    "1f680": ("rocket", "spaceship"),
    "1f697": ("car", "red car", "automobile"),
    "1f68c": ("bus",),
    "1f695": ("taxi",),
    "1f682": ("train", "locomotive", "steam train"),
    "2708": ("airplane", "plane"),
    "26f5": ("sailboat", "boat"),
    "1f6b2": ("bicycle", "bike"),
    "1f3e0": ("house", "home"),
    "1f3f0": ("castle",),
    "2b50": ("star",),
    "2600": ("sun",),
    "1f319": ("moon", "crescent moon"),
    "1f30d": ("earth", "globe"),
    "1fa90": ("planet", "saturn", "ringed planet"),
    "1f308": ("rainbow",),
    "2602": ("umbrella",),
    "26c4": ("snowman",),
    "1f525": ("fire", "flame"),
    # things
    "2764": ("heart", "red heart"),
    "1f383": ("pumpkin", "jack-o-lantern"),
    "1f384": ("christmas tree",),
    "1f388": ("balloon",),
    "1f381": ("gift", "present", "wrapped gift"),
    "1f3c6": ("trophy",),
    "26bd": ("soccer ball", "football"),
    "1f3c0": ("basketball",),
    "1f9f8": ("teddy bear", "teddy"),
    "1f451": ("crown",),
    "1f48e": ("diamond", "gem", "gem stone"),
    "1f511": ("key",),
    "1f514": ("bell",),
    "1f3b8": ("guitar",),
    "1f4a1": ("light bulb", "bulb"),
    "1f4f7": ("camera",),
    "23f0": ("alarm clock", "clock"),
}

#: Subjects that joined the core later in training, so that they keep their places in the data.
LATER_CORE_SUBJECTS: dict[str, tuple[str, ...]] = {
    "1f43a": ("wolf",),
    "1f99d": ("raccoon",),
    "1f43b-200d-2744": ("polar bear",),
    "1f993": ("zebra",),
    "1f42a": ("camel",),
    "1f994": ("hedgehog",),
    "1f987": ("bat",),
    "1f99c": ("parrot",),
    "1f9a2": ("swan",),
    "1f40d": ("snake",),
    "1f40a": ("crocodile",),
    "1f420": ("tropical fish",),
    "1fabc": ("jellyfish",),
    "1f99e": ("lobster",),
    "1f991": ("squid",),
    "1f9ad": ("seal",),
    "1f351": ("peach",),
    "1f95d": ("kiwi fruit", "kiwi"),
    "1f965": ("coconut",),
    "1f33d": ("ear of corn", "corn"),
    "1fad1": ("bell pepper",),
    "1f9c5": ("onion",),
    "1f954": ("potato",),
    "1f950": ("croissant",),
    "1f35e": ("bread",),
    "1f968": ("pretzel",),
    "1f9c7": ("waffle",),
    "1f9c0": ("cheese wedge", "cheese"),
    "1f35f": ("french fries", "fries"),
    "1f32d": ("hot dog", "hotdog"),
    "1f32e": ("taco",),
    "1f95a": ("egg",),
    "1f37f": ("popcorn",),
    "1f363": ("sushi",),
    "1f36d": ("lollipop",),
    "1fad6": ("teapot",),
    "1f382": ("birthday cake",),
    "1f681": ("helicopter",),
    "1f69c": ("tractor",),
    "1f692": ("fire engine",),
    "1f6f8": ("flying saucer",),
    "2601": ("cloud",),
    "2744": ("snowflake",),
    "1f3d0": ("volleyball",),
    "1f3a9": ("top hat",),
    "260e": ("telephone", "phone"),
    "270f": ("pencil",),
}

#: More code points beside the animals, plants, food and drink that emojibase groups as 3 and 4.
_MORE_CODES = """
1f30b 26fa 1f691 1f692 1f693 1f69a 1f69c 1f3ce 1f3cd 2693 1f6f3 1f681 1f6f8 231b 2601 2744 1f4a7
26a1 26be 1f3d0 1f3c8 1f3af 1fa81 1f3b1 1f3b2 1f9e9 1f3a8 1f9f6 1f453 1f576 1f455 1f457 1f3a9 1f48d
1f3bb 1f3ba 1f941 260e 1f4fa 1f56f 1f4d6 270f 1f58c 2702 1f528 1f4a3 1f9f2 1f52c 1f52d 1fa91 1f9fc
1f4bc 1f392 2709 1f4e6 1f512 2699 1f6e1
"""
MORE_SUBJECTS = tuple(_MORE_CODES.split())

#: Left out: the same animal twice under nearly the same name, and what is hard to draw or name.
_LEFT_OUT_CODES = """
1f408 1f415 1f9ae 1f415-200d-1f9ba 1f408-200d-2b1b 1f405 1f404 1f416 1f401 1f407 1f412 1f40b 1f425
1f423 1f43e 1f43d 1fab6 1fabd 1f578 1f9a0 1f4ae 1f3f5 1f6aa 1f9c2 1f962
"""
LEFT_OUT = frozenset(_LEFT_OUT_CODES.split())

#: Single words out of longer names that nobody would mean the thing by. The first training knew
#: them as names; since then they are used no more.
_POOR_NAMES = """
american art artist black bubble can canned cooked cooking done drop fall fallen flutter
fluttering fortune four fried handle high kitchen leafy leg liquid mate nut open passenger
piece pod police pool popping potted pour pouring poultry roasted scorpio shallow shaved
spiral swirl takeout two wilted wind
"""
POOR_NAMES = frozenset(_POOR_NAMES.split())

#: What people say for some things, beside the names of emojibase.
EXTRA_NAMES: dict[str, tuple[str, ...]] = {
    "blossom": ("flower",),
    "maple leaf": ("leaf",),
    "potted plant": ("plant",),
    "nest with eggs": ("nest",),
    "sheaf of rice": ("rice plant",),
    "tangerine": ("orange",),
    "bell pepper": ("pepper",),
    "cooked rice": ("rice",),
    "honey pot": ("honey",),
    "glass of milk": ("milk",),
    "chocolate bar": ("chocolate",),
    "cut of meat": ("meat",),
    "bowl with spoon": ("bowl",),
    "pot of food": ("pot",),
    "tropical drink": ("drink",),
    "tumbler glass": ("glass",),
    "teacup without handle": ("tea", "cup of tea"),
    "coffee": ("cup",),
    "beer mug": ("beer", "glass of beer"),
    "wine glass": ("glass of wine",),
    "bottle with popping cork": ("bottle",),
    "kitchen knife": ("knife",),
    "fork and knife": ("fork",),
    "delivery truck": ("truck",),
    "fire engine": ("fire truck",),
    "passenger ship": ("ship",),
    "flying saucer": ("saucer",),
    "top hat": ("hat",),
    "package": ("box",),
    "soccer ball": ("ball",),
    "steaming bowl": ("ramen",),
    "cocktail glass": ("cocktail",),
    "poultry leg": ("drumstick",),
    "cup with straw": ("soda",),
    "amphora": ("vase",),
    "chipmunk": ("squirrel",),
    "tropical fish": ("goldfish",),
    "game die": ("dice",),
    "locked": ("padlock",),
    "envelope": ("letter",),
    "backpack": ("bag",),
    "high voltage": ("lightning",),
    "meat on bone": ("ham",),
    "sauropod": ("brontosaurus",),
    "television": ("tv",),
    "motorcycle": ("motorbike",),
    "bullseye": ("dartboard",),
    "shallow pan of food": ("paella",),
    "spiral shell": ("seashell",),
    "rhinoceros": ("rhino",),
    "hippopotamus": ("hippo",),
    "green salad": ("salad", "lettuce"),
    "ewe": ("sheep",),
}

PLURALS = frozenset(("cherries", "grapes", "blueberries", "french fries", "peanuts", "beans"))
NO_ARTICLE = frozenset(("broccoli", "coffee", "fire", "earth", "bread", "garlic", "ice", "popcorn"))

#: Wordings with a background, and without. ``{a}`` and ``{ab}`` are the names with their articles.
WORDINGS = (
    "{a} on {ab} background",
    "{a} on {ab} background",
    "{s}, {b} background",
    "{s} on {b} background",
    "{a}, {b} background",
    "a picture of {a} on {ab} background",
    "{ab} background with {a}",
    "3d render of {a} on {ab} background",
)
WORDINGS_WITHOUT_BACKGROUND = ("{a}", "{s}", "a picture of {a}", "a photo of {a}")

#: Words that people add and that change nothing here. They get no embedding of their own: they
#: teach the model to overlook any word that it does not know.
ADJECTIVES = ("cute", "beautiful", "shiny", "detailed", "friendly", "tasty", "elegant", "smiling")
ADDITIONS = ("high quality", "4k", "detailed", "studio light", "minimalist", "trending", "cozy")


@dataclass(frozen=True)
class Subject:
    """One thing that can be drawn.

    Attributes:
        code: Code points of the emoji that shows it, in hexadecimal.
        names: What it may be called; the first is its usual name.
        core: Whether it is one of the subjects trained most.
    """

    code: str
    names: tuple[str, ...]
    core: bool

    @property
    def name(self) -> str:
        """The usual name."""
        return self.names[0]

    @property
    def tier(self) -> int:
        """0 for the first core subjects, 1 for those that joined later, 2 for all others."""
        if not self.core:
            return 2
        return 0 if self.code in CORE_SUBJECTS else 1


def with_article(name: str) -> str:
    """``name`` with "a" or "an" where English wants one."""
    if name in PLURALS or name in NO_ARTICLE:
        return name
    return ("an " if name[0] in "aeiou" and not name.startswith("uni") else "a ") + name


def held_out(subject: str, background: str) -> bool:
    """Whether this pair is kept from training, to see if the model combines what it knows.

    One background in twelve per subject, decided by a hash of the subject's name so that it never
    changes with the order of lists.
    """
    names = list(BACKGROUNDS)
    return names[zlib.crc32(subject.encode()) % len(names)] == background


def caption(subject: Subject, background: str, rng: random.Random) -> str:
    """One of many ways to ask for this pair; one in seven names no background."""
    name = subject.name
    if len(subject.names) > 1 and rng.random() < 0.3:
        name = rng.choice(subject.names[1:])
    if rng.random() < 0.2:
        name = f"{rng.choice(ADJECTIVES)} {name}"
    text = _worded(name, background, rng)
    return f"{text}, {rng.choice(ADDITIONS)}" if rng.random() < 0.15 else text


def _worded(name: str, background: str, rng: random.Random) -> str:
    if rng.random() < 0.14:
        return rng.choice(WORDINGS_WITHOUT_BACKGROUND).format(a=with_article(name), s=name)
    color = background
    if background in BACKGROUND_SYNONYMS and rng.random() < 0.2:
        color = rng.choice(BACKGROUND_SYNONYMS[background])
    wording = rng.choice(WORDINGS)
    return wording.format(a=with_article(name), s=name, b=color, ab=with_article(color))


def plain_caption(subject: Subject, background: str) -> str:
    """The usual wording, as used for evaluation."""
    return f"{with_article(subject.name)} on {with_article(background)} background"


def usual_caption(subject: Subject, background: str | None) -> str:
    """The usual wording, with a background or without."""
    if background is None:
        return with_article(subject.name)
    return plain_caption(subject, background)


#: Further wordings for going on with the training: how people speak when nobody gave them a form.
MORE_WORDINGS = (
    *WORDINGS,
    "{a} on {b}",
    "{a} against {ab} background",
    "{a} in front of {ab} background",
    "{a} with {ab} background",
    "{a}, {ab} background",
    "{a} on {ab} backdrop",
    "{a} in front of {ab} wall",
    "photo of {a} on {ab} background",
    "{b} background, {a}",
    "{a}. the background is {b}",
)
MORE_WORDINGS_WITHOUT_BACKGROUND = (
    *WORDINGS_WITHOUT_BACKGROUND,
    "{a}",
    "{s}",
    "photo of {a}",
    "picture of the {s}",
    "the {s}",
    "an image of {a}",
    "a drawing of {a}",
    "a painting of the {s}",
    "please draw {a}",
    "draw me {a}",
    "i would like to see {a}",
    "portrait of {a}",
    "one {s}",
    "my {s}",
)
#: Places and doings that this world lacks; whatever they say, the subject is drawn.
SCENES = (
    "on the beach",
    "on a beach",
    "in the forest",
    "in the snow",
    "in a garden",
    "on a table",
    "in the rain",
    "in space",
    "at night",
    "at sunset",
    "in the city",
    "under water",
    "by the sea",
    "in the mountains",
    "running",
    "sleeping",
    "flying through the air",
    "dancing with a friend",
    "in winter",
    "in the style of a famous painter",
)
#: Sentences about more than one thing of which one is known.
COMPANY = (
    "an astronaut on {a}",
    "an astronaut riding {a}",
    "a woman with {a}",
    "a man and {a}",
    "{a} and a wizard",
    "a girl holding {a}",
)
#: Nothing known at all.
STRANGE = ("a sunset over the city", "a woman", "a wizard", "an astronaut", "something", "abstract")


def held_out_color(subject: str, color: str) -> bool:
    """Whether this subject is kept from training in this colour: one colour in twelve."""
    names = list(BACKGROUNDS)
    return names[zlib.crc32(f"{subject} painted".encode()) % len(names)] == color


def spoken_names(subject: Subject) -> tuple[str, ...]:
    """What a person may call it, its usual name first."""
    known = [name for name in subject.names if name not in POOR_NAMES or name == subject.name]
    return tuple(dict.fromkeys((*known, *EXTRA_NAMES.get(subject.name, ()))))


def colored(name: str, color: str) -> str:
    """``name`` with a colour before it, in the place of one that it already has."""
    words = name.split()
    if len(words) > 1 and words[0] in BACKGROUNDS:
        words = words[1:]
    return " ".join([color, *words])


def _spoken(color: str, rng: random.Random) -> str:
    """A colour by its name, or now and then by another one."""
    if color in BACKGROUND_SYNONYMS and rng.random() < 0.3:
        return rng.choice(BACKGROUND_SYNONYMS[color])
    return color


def free_caption(
    subject: Subject, background: str | None, color: str | None, rng: random.Random
) -> str:
    """One of many ways to ask for this subject, in this colour, on this background.

    Args:
        background: None where the caption is to name none.
        color: None where the subject has its own colours.
    """
    name, others = subject.name, spoken_names(subject)[1:]
    if others and rng.random() < 0.35:
        name = rng.choice(others)
    if color is not None:
        name = colored(name, _spoken(color, rng))
    if rng.random() < 0.15:
        name = f"{rng.choice(ADJECTIVES)} {name}"
    if background is None:
        draw = rng.random()
        if draw < 0.12:
            text = rng.choice(COMPANY).format(a=with_article(name), s=name)
        else:
            wording = rng.choice(MORE_WORDINGS_WITHOUT_BACKGROUND)
            text = wording.format(a=with_article(name), s=name)
            if draw < 0.45:
                text = f"{text} {rng.choice(SCENES)}"
    else:
        b = _spoken(background, rng)
        some = rng.choice(MORE_WORDINGS)
        if rng.random() < 0.12:
            some = some.replace("{a}", "{a} " + rng.choice(SCENES))
        text = some.format(a=with_article(name), s=name, b=b, ab=with_article(b))
    return f"{text}, {rng.choice(ADDITIONS)}" if rng.random() < 0.15 else text
