"""Stage "vocabulary": the words that the model understands, for the app and for the model itself.

The text encoder has embeddings for the words of its training only. Plurals and many synonyms get
none of their own: the table from tokens to embeddings sends "kittens" where "kitten" is. So the
file that tells the app what the model knows and the table inside the model come from one list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from gui import records
from gui.library.vocabulary import FILE_NAME, Category, Thing, Vocabulary

from .autoencoder import save_checkpoint
from .data import NAMES, SPRITE_SIZES, Sprites
from .denoiser import CompactText, load_tokenizer
from .recolor import own_colors
from .world import (
    BACKGROUND_SYNONYMS,
    BACKGROUNDS,
    PLURALS,
    Subject,
    spoken_names,
    with_article,
)

#: Emojibase's subgroups by the heading under which a person looks for them, in reading order.
KINDS: dict[str, tuple[int, ...]] = {
    "Animals": (34, 36, 37),
    "Birds": (35,),
    "Sea life": (38,),
    "Insects and spiders": (39,),
    "Flowers and plants": (40, 41),
    "Fruit and vegetables": (42, 43),
    "Food": (44, 45),
    "Sweets": (46,),
    "Drinks and tableware": (47, 48),
    "Vehicles": (54, 55, 56),
    "Sky and earth": (49, 50, 59),
    "Sport, games and music": (61, 62, 63, 64, 68),
    "Things": (14, 51, 53, 58, 60, 65, 66, 69, 71, 72, 74, 75, 76, 77, 78, 79, 81),
}

#: Other words for things and colours, read by the model as the second word of each pair.
_ALIASES = """
kitty:kitten pup:puppy doggy:dog doggie:dog hound:dog grizzly:bear hare:rabbit bumblebee:bee
dino:dinosaur trex:dinosaur ape:gorilla pony:horse stallion:horse mare:horse foal:horse
stag:deer reindeer:deer elk:moose mule:donkey bull:ox alpaca:llama hen:chicken sparrow:bird
robin:bird pigeon:dove hawk:eagle falcon:eagle geese:goose alligator:crocodile
gator:crocodile gecko:lizard serpent:snake cobra:snake python:snake prawn:shrimp
prawns:shrimp caterpillar:bug grasshopper:cricket earthworm:worm seashell:shell reef:coral
mice:mouse oxen:ox wolves:wolf fishes:fish orca:whale fungus:mushroom daisy:blossom
lilac:hyacinth lavender:hyacinth lily:lotus sapling:seedling sprout:seedling leaves:leaf
clementine:tangerine cherry:cherries grape:grapes blueberry:blueberries berries:blueberries
cantaloupe:melon maize:corn chili:pepper cabbage:salad peanut:peanuts bean:beans
almond:chestnut loaf:bread toast:bread cheeseburger:burger pasta:spaghetti sausage:hotdog
steak:meat stew:pot soup:pot pancake:pancakes pudding:custard sweets:candy toffee:candy
muffin:cupcake pastry:croissant espresso:coffee latte:coffee cappuccino:coffee cocoa:coffee
juice:drink cocktail:drink martini:cocktail champagne:bottle pint:beer ale:beer knives:knife
auto:car sedan:car vehicle:car cab:taxi coach:bus jet:plane aircraft:plane
aeroplane:airplane yacht:sailboat scooter:motorcycle lorry:truck van:truck spacecraft:rocket
shuttle:rocket chopper:helicopter copter:helicopter ufo:saucer tram:bus palace:castle
fortress:castle cottage:house hut:house cabin:house bonfire:fire raindrop:droplet
jewel:diamond gemstone:diamond parcel:package mail:envelope target:bullseye jigsaw:puzzle
wool:yarn fiddle:violin telly:television cog:gear spectacles:glasses lamp:bulb tshirt:shirt
gown:dress brush:paintbrush pen:pencil seat:chair crimson:red scarlet:red ruby:red navy:blue
azure:blue cyan:teal turquoise:teal lime:green emerald:green magenta:pink indigo:purple
mauve:purple gold:yellow golden:yellow silver:gray ivory:white lamb:sheep lambs:sheep
jug:vase thunderbolt:lightning lock:padlock locks:padlock noodles:ramen noodle:ramen
pho:ramen whiskey:tumbler cola:soda rucksack:bag handbag:bag lama:llama
"""
_PAIRS = (pair.partition(":") for pair in _ALIASES.split())
ALIASES = {word: known for word, _, known in _PAIRS}
#: Names under which the app lists a thing, where the model's own is awkward to read.
SHOWN: dict[str, str] = {
    "hourglass done": "hourglass",
    "teacup without handle": "teacup",
    "baguette bread": "baguette",
    "cheese wedge": "cheese",
    "ear of corn": "corn",
    "high voltage": "lightning",
    "locked": "padlock",
    "game die": "dice",
    "steaming bowl": "ramen",
    "ewe": "sheep",
    "amphora": "vase",
}

#: Names that the app puts into a prompt without an article, beside those of ``world.py``.
_BARE = """american football, bacon, baseball, bubble tea, butter, candy, canned food, cheese,
clinking beer mugs, clinking glasses, cooked rice, coral, corn, curry rice, custard, dice, falafel,
fondue, fork and knife, glasses, lightning, oden, pancakes, pouring liquid, ramen, sake, scissors,
shaved ice, soap, spaghetti, sunglasses, sushi, volleyball, yarn"""
BARE = frozenset(_BARE.replace("\n", " ").split(", "))

#: English that changes nothing here: small words, forms of asking, praise.
_OVERLOOKED = """
a an the this that these those some any my your our his her its their one two three four five six
seven eight nine ten many few several single pair of and or with without in at by to for from as is
are was be being it he she they i me you we us there here like no not very really so just only
please want would see show make draw drawn give need let can could should have has having looking
photo photos photograph photography picture pictures image images pic drawing drawings painting
render rendering rendered 3d illustration artwork art icon icons emoji sticker portrait shot
close-up closeup up close view style
cute beautiful pretty lovely nice adorable gorgeous stunning amazing shiny glossy detailed friendly
tasty delicious elegant smiling happy smile funny fresh ripe good great cool perfect simple plain
clean high quality best masterpiece highly ultra hd uhd 4k 8k hdr sharp focus detail details
intricate realistic photorealistic minimalist minimal trending artstation cozy studio light lighting
lit soft professional award winning little small big large huge tiny giant tall young old baby new
solid color colored colour coloured colors colours whole centered center isolated
"""
OVERLOOKED = tuple(sorted(set(_OVERLOOKED.split())))
GROUND_WORDS = ("background", "backgrounds", "backdrop", "ground", "bg", "wall")
GROUND_PREPOSITIONS = ("on", "against", "over", "upon", "onto", "before", "front")
EXAMPLES = ("a cat", "a rocket", "a pizza")
SHADES = ("light", "dark", "bright", "deep", "pale", "vivid", "pastel", "neon")


def plural(name: str) -> str:
    """The regular English plural of a name's last word."""
    if name.endswith(("s", "x", "z", "ch", "sh", "tato", "mato", "mango")):
        return f"{name}es"
    if name.endswith("leaf"):
        return f"{name[:-1]}ves"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"


class Rows:
    """Which embedding each word of a phrase leads to.

    Args:
        tokenizer: CLIP's.
        rows: int64 [49408], from tokens to rows; changed by ``add``.
    """

    def __init__(self, tokenizer: CLIPTokenizer, rows: torch.Tensor) -> None:
        self.tokenizer, self.rows = tokenizer, rows

    def tokens(self, phrase: str) -> list[int]:
        """Token ids without those of start and end."""
        return list(self.tokenizer(phrase)["input_ids"])[1:-1]

    def of(self, phrase: str) -> tuple[int, ...]:
        """Rows of a phrase; 0 is what all unknown tokens share."""
        return tuple(int(self.rows[token]) for token in self.tokens(phrase))

    def add(self, word: str, known: str, by_last_piece: bool = False) -> bool:
        """Let ``word`` be read as ``known``, if each of their tokens can stand for the other.

        Args:
            by_last_piece: A word in pieces may stand for a single token by its last piece; the
                model has learnt to overlook the unknown ones before it.

        Returns:
            Whether it is read so now.
        """
        ours, theirs = self.tokens(word), self.tokens(known)
        if by_last_piece and len(theirs) == 1 and " " not in word and not any(self.of(word)[:-1]):
            last = ours[-1:]
            ours = last if len(str(self.tokenizer.decode(last)).strip()) > 2 else ours
        if len(ours) != len(theirs):
            return False
        for own, other in zip(ours, theirs, strict=True):
            if int(self.rows[own]) not in (0, int(self.rows[other])):
                return False
        for own, other in zip(ours, theirs, strict=True):
            self.rows[own] = self.rows[other]
        return True


def _candidates(subject: Subject) -> Iterable[tuple[str, str]]:
    """Words for a thing, each with the trained name that it is to be read as."""
    for name in spoken_names(subject):
        if name != subject.name:
            yield name, name
        if name in PLURALS or " of " in name or " with" in name:
            continue
        if not name.endswith("s") or name.endswith("ss"):
            yield plural(name), name
    known = set(spoken_names(subject))
    for word, name in ALIASES.items():
        if name in known:
            yield word, name
            if not word.endswith("s"):
                yield plural(word), name


def words_of(subjects: list[Subject], rows: Rows) -> dict[str, tuple[str, ...]]:
    """Other words for each thing, by its name, after making the model read them so."""
    taken = {name for subject in subjects for name in spoken_names(subject)}
    found: dict[str, list[str]] = {subject.name: [] for subject in subjects}
    for by_last_piece in (False, True):  # whole words first: "birds" is no part of "ladybirds"
        for subject in subjects:
            for word, name in _candidates(subject):
                fresh = word not in taken or word == name
                if word in found[subject.name] or not fresh:
                    continue
                if rows.add(word, name, by_last_piece):
                    found[subject.name].append(word)
                    taken.add(word)
    return {name: tuple(words) for name, words in found.items()}


def colors_of(rows: Rows) -> dict[str, tuple[str, ...]]:
    """Other words for each colour, after making the model read them so."""
    found = {}
    for color in BACKGROUNDS:
        words = list(BACKGROUND_SYNONYMS.get(color, ()))
        words += [w for w, name in ALIASES.items() if name == color and rows.add(w, color)]
        found[color] = tuple(words)
    return found


def colors_for(sprites: Sprites, index: int) -> tuple[str, ...]:
    """The colours in which the model draws a subject: those of its picture and of its name."""
    subject = sprites.subjects[index]
    own = own_colors(sprites.arrays[max(SPRITE_SIZES)][index])
    named = [word for name in spoken_names(subject) for word in name.split() if word in BACKGROUNDS]
    return tuple(dict.fromkeys((*named, *own)))


def build_vocabulary(npm: Path, sprites: Sprites, rows: Rows) -> Vocabulary:
    """What the model knows, in the app's terms; ``rows`` is changed to read all of it."""
    subjects = sprites.subjects
    entries = json.loads((npm / NAMES).read_text(encoding="utf-8"))
    places = {e["hexcode"].lower().replace("-fe0f", ""): e.get("subgroup") for e in entries}
    words, colors = words_of(subjects, rows), colors_of(rows)
    kinds = []
    for title, groups in KINDS.items():
        members = [s for s in subjects if places[s.code] in groups]
        things = [_thing(s, words[s.name], colors_for(sprites, subjects.index(s))) for s in members]
        kinds.append(Category(title, tuple(sorted(things, key=lambda thing: thing.name))))
    vocabulary = Vocabulary(
        kinds=tuple(kinds),
        colors=colors,
        ground_words=GROUND_WORDS,
        ground_prepositions=GROUND_PREPOSITIONS,
        shades=SHADES,
        overlooked=OVERLOOKED,
        examples=EXAMPLES,
    )
    if len(vocabulary.things) != len(subjects):
        raise ValueError("a subject belongs to no kind, or to two")
    return vocabulary


def _thing(subject: Subject, words: tuple[str, ...], colors: tuple[str, ...]) -> Thing:
    shown = SHOWN.get(subject.name, subject.name)
    if shown != subject.name and shown not in words:
        raise ValueError(f"the model does not read {shown!r}")
    phrase = shown if shown in BARE else with_article(shown)
    return Thing(shown, phrase, tuple(w for w in (subject.name, *words) if w != shown), colors)


def teach_words(npm: Path, work: Path, tokenizer_folder: Path, folder: Path) -> Vocabulary:
    """Write ``vocabulary.json`` into ``folder``, and into ``work/denoiser.pt`` the table that makes
    the model read all of its words."""
    path = work / "denoiser.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)
    rows = CompactText(state["used"]).rows  # as trained, without words taught before
    vocabulary = build_vocabulary(
        npm, Sprites.load(work / "data"), Rows(load_tokenizer(tokenizer_folder), rows)
    )
    for part in ("model", "average"):
        state[part]["text.rows"] = rows
    save_checkpoint(path, state)
    body = records.dumps(vocabulary, ascii_only=False)
    (folder / FILE_NAME).write_text(body + "\n", encoding="utf-8")
    return vocabulary
