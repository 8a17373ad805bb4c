"""Stories with a question each, after Weston et al. 2015, "Towards AI-complete question answering":
a small world is played through, told in sentences, and asked about; the answer is read off the
world.

    one_fact    where somebody is
    two_facts   where a thing is that somebody took and may have carried or put down
    count       how many things somebody has
    list        which things somebody has, in the order in which they came to have them
    yes_no      whether it is so
    position    the direction from one landmark to another, over one step or several
    everyone    where each is
    belongings  which things each has

The last two ask for all at once: answers of many words, from which a model learns sooner what the
others ask for in one.

No kind's commonest answer gets far: where answers are few, they are as frequent as each other. The
test asks for no story learnt by heart: the cast of a story, all people or landmarks in it, belongs
to one split, and is never that of another's.
"""

import itertools
import random

from data.config import DataError
from data.corpora.phrasebook import HELD_OUT, split_of
from data.pairs import Pair
from data.readers.questions import source_of

WOMEN = "Amina Clara Greta Ingrid Lucia Noemi Paula Selma".split()
MEN = "Boris Diego Felix Hassan Jonas Kofi Matteo Viktor".split()
PLACES = (
    "bakery chapel greenhouse harbour library market museum park school station theatre workshop"
).split()
THINGS = (
    "basket compass drum hammer kite lantern letter map mirror rope scarf teapot umbrella violin"
).split()
LANDMARKS = (
    "abbey barn bridge fountain inn lighthouse mill oak palace pond quarry statue tower well"
).split()

THEN = ("Then", "Later", "After that")
MOVES = (
    "went to the {}",
    "walked to the {}",
    "ran to the {}",
    "moved to the {}",
    "hurried into the {}",
)
TAKES = ("took the {}", "picked up the {}", "got hold of the {}", "grabbed the {} there")
PUTS = ("put down the {}", "dropped the {}", "left the {} there", "let go of the {}")
GIVES = ("gave the {} to {}", "handed the {} to {}", "passed the {} on to {}")
LIES = (
    "The {0} is one street {1} of the {2}.",
    "The {0} lies one street {1} of the {2}.",
    "One street {1} of the {2} is the {0}.",
)
WHERE_IS = ("Where is {}?", "Where is {} now?", "Where can {} be found?")
NUMBERS = ("none", "one", "two", "three", "four")
DIRECTIONS = {
    "north": (0, 1),
    "south": (0, -1),
    "east": (1, 0),
    "west": (-1, 0),
    "northeast": (1, 1),
    "northwest": (-1, 1),
    "southeast": (1, -1),
    "southwest": (-1, -1),
}
OPPOSITES = {"north": "south", "south": "north", "east": "west", "west": "east"}


def stories(size, seed):
    """Stories of 2 to 12 sentences, as many of each kind.

    Args:
        size: training pairs, at most a million; 1,000 more are made for validation and test each.

    Returns:
        {"train", "validation", "test"} -> lists of Pair; no source stands twice.

    Raises:
        DataError: the size is too large.
    """
    if size > 1_000_000:
        raise DataError(f"corpus_size must be at most 1000000 for 'stories'. Received: {size}.")
    generator, splits = random.Random(seed), {}
    for split, count in {"train": size, "validation": HELD_OUT, "test": HELD_OUT}.items():
        pairs = {}
        while len(pairs) < count:
            pair = story(generator, list(KINDS)[len(pairs) % len(KINDS)], split)
            pairs.setdefault(pair.source, pair)
        splits[split] = list(pairs.values())
    return splits


def story(generator, kind, split):
    """A Pair: a story of one of KINDS with a cast of a split."""
    tell, wanted = KINDS[kind][0], generator.choice(KINDS[kind][1])
    names, sizes = (LANDMARKS, range(3, 14)) if tell is position else (WOMEN + MEN, range(2, 5))
    cast = generator.sample(names, generator.choice(sizes))
    while split_of([tuple(sorted(cast))]) != split:
        cast = generator.sample(names, generator.choice(sizes))
    # Not every world has the answer that is wanted. Another answer from this one would make long
    # ones rare.
    while not (told := tell(generator, cast, wanted)):
        pass
    sentences, question, answer = told
    return Pair(source_of(question, " ".join(sentences)), answer, kind)


class World:
    """People who go about with things: how it is now, and the sentences that tell how it came
    about."""

    def __init__(self, generator):
        self.generator = generator
        self.places = generator.sample(PLACES, generator.randint(3, 5))
        self.things = generator.sample(THINGS, generator.randint(3, 6))
        self.place = {}  # person -> place
        self.holder = {}  # thing -> person, in the order in which they came to have them
        self.spot = {}  # thing -> place where it was put down
        self.sentences, self.visited = [], []
        self.subject = ""  # the person that "she" or "he" would mean in the next sentence

    def happen(self, person):
        """One event more. A person first of all goes somewhere, so that it is known where all
        things are."""
        choice = self.generator.choice
        here, hands = self.place.get(person), self.hands(person)
        free = [
            thing
            for thing in self.things
            if thing not in self.holder and self.spot.get(thing, here) == here
        ]
        others = [other for other in self.place if other != person and self.place[other] == here]
        events = [
            self.move,
            *[self.take] * 2 * bool(free),
            *[self.put] * bool(hands),
            *[self.give] * bool(hands and others),
        ]
        event = choice(events) if here else self.move
        if event == self.move:
            event(person, others if self.generator.random() < 0.5 else [])
        elif event == self.give:
            event(person, choice(hands), choice(others))
        else:
            event(person, choice(free if event == self.take else hands))

    def move(self, person, others):
        place = self.generator.choice(
            [place for place in self.places if place != self.place.get(person)]
        )
        people = [person, *others[:1]]
        self.place |= dict.fromkeys(people, place)
        self.visited.append(place)
        self.tell(people, MOVES, place, clear=len(people) == 1)

    def take(self, person, thing):
        self.holder[thing] = person
        self.spot.pop(thing, None)
        self.tell([person], TAKES, thing)

    def put(self, person, thing):
        del self.holder[thing]
        self.spot[thing] = self.place[person]
        self.tell([person], PUTS, thing)

    def give(self, person, thing, other):
        del self.holder[thing]  # the other gets it last
        self.holder[thing] = other
        self.tell([person], GIVES, thing, other, clear=False)

    def tell(self, people, wordings, *words, clear=True):
        """Adds a sentence; clear: a pronoun after it can mean its subject only."""
        person, random = people[0], self.generator.random
        again = person == self.subject and random() < 0.6
        name = " and ".join(
            [("she" if person in WOMEN else "he") if again else person, *people[1:]]
        )
        then = (
            f"{self.generator.choice(THEN)} " if again or self.sentences and random() < 0.2 else ""
        )
        self.sentences.append(f"{then}{name} {self.generator.choice(wordings).format(*words)}.")
        self.subject = person if clear else ""

    def hands(self, person):
        """The things that a person has, in the order in which they came to have them."""
        return [thing for thing, holder in self.holder.items() if holder == person]

    def spots(self):
        """The place of every thing that was mentioned."""
        return {**{thing: self.place[holder] for thing, holder in self.holder.items()}, **self.spot}

    def ask(self, questions, name, answer):
        """(sentences, question, answer)."""
        return self.sentences, self.generator.choice(questions).format(name), answer


def played(generator, cast):
    """A World after as many events as the cast has people, or more, at most 12; everyone is in
    one."""
    world = World(generator)
    for left in range(generator.randint(len(cast), 12), 0, -1):
        unseen = [person for person in cast if person not in world.place]
        world.happen(generator.choice(unseen if len(unseen) == left else cast))
    return world


# What tells a story of each kind: (generator, cast, wanted) -> (sentences, question, answer), or
# None where the world that was drawn has no such answer as is wanted.


def one_fact(generator, cast, wanted):
    """Where is Paula?"""
    world, person = played(generator, cast), generator.choice(cast)
    return world.ask(WHERE_IS, person, world.place[person])


def two_facts(generator, cast, wanted):
    """Where is the kite?"""
    world = played(generator, cast)
    if spots := world.spots():
        thing = generator.choice(list(spots))
        return world.ask(WHERE_IS, f"the {thing}", spots[thing])


def count(generator, cast, wanted):
    """How many things does Paula have? wanted: the number."""
    world = played(generator, cast)
    if people := [person for person in cast if len(world.hands(person)) == wanted]:
        questions = (
            "How many things does {} have?",
            "How many things is {} carrying?",
            "How many things does {} hold?",
        )
        return world.ask(questions, generator.choice(people), NUMBERS[wanted])


def things(generator, cast, wanted):
    """What does Paula have? wanted: the number of things."""
    world = played(generator, cast)
    if people := [person for person in cast if len(world.hands(person)) == wanted]:
        person = generator.choice(people)
        answer = ", ".join(world.hands(person)) or "nothing"
        return world.ask(
            ("What does {} have?", "What is {} carrying?", "What does {} hold?"), person, answer
        )


def everyone(generator, cast, wanted):
    """Where is everyone? In the order of their names."""
    world = played(generator, cast)
    answer = ", ".join(f"{person} {world.place[person]}" for person in sorted(cast))
    return world.ask(("Where is everyone?", "Where is everyone now?"), "", answer)


def belongings(generator, cast, wanted):
    """Who has what? In the order of their names."""
    world = played(generator, cast)
    answer = ", ".join(
        f"{person} {' and '.join(world.hands(person)) or 'nothing'}" for person in sorted(cast)
    )
    return world.ask(("Who has what?", "Who is carrying what?"), "", answer)


def yes_no(generator, cast, wanted):
    """Is Paula in the park? wanted: what is asked for, and the answer."""
    world, (about, answer) = played(generator, cast), wanted
    spots = world.spots()
    if about == "person":
        facts = {
            f"Is {person} in the {place}?": world.place[person] == place
            for person in cast
            for place in world.visited
        }
    elif about == "thing":
        facts = {
            f"Is the {thing} in the {place}?": spots[thing] == place
            for thing in spots
            for place in world.visited
        }
    else:
        facts = {
            f"Does {person} have the {thing}?": world.holder.get(thing) == person
            for person in cast
            for thing in spots
        }
    if questions := [question for question, fact in facts.items() if fact == (answer == "yes")]:
        return world.ask(questions, "", answer)


def position(generator, cast, wanted):
    """In which direction is the mill from the pond? wanted: the direction."""
    spots, sentences = {cast[0]: (0, 0)}, []
    for name in cast[1:]:
        other, direction, spot = generator.choice(
            [
                (other, direction, spot)
                for other, (x, y) in spots.items()
                for direction in OPPOSITES
                for spot in [(x + DIRECTIONS[direction][0], y + DIRECTIONS[direction][1])]
                if spot not in spots.values()
            ]
        )
        spots[name] = spot
        words = generator.choice([(name, direction, other), (other, OPPOSITES[direction], name)])
        sentences.append(generator.choice(LIES).format(*words))
    generator.shuffle(sentences)
    pairs = [
        (one, other)
        for one, other in itertools.permutations(cast, 2)
        if DIRECTIONS[wanted] == tuple((a > b) - (a < b) for a, b in zip(spots[one], spots[other]))
    ]
    if pairs:
        one, other = generator.choice(pairs)
        questions = (
            "In which direction is the {} from the {}?",
            "Seen from the {1}, where is the {0}?",
        )
        return sentences, generator.choice(questions).format(one, other), wanted


# Each with what may be wanted of it.
KINDS = {
    "one_fact": (one_fact, (None,)),
    "two_facts": (two_facts, (None,)),
    "count": (count, range(len(NUMBERS))),
    "list": (things, (0, 1, 1, 2, 2, 3)),
    "yes_no": (yes_no, tuple(itertools.product(("person", "thing", "having"), ("yes", "no")))),
    "position": (position, tuple(DIRECTIONS)),
    "everyone": (everyone, (None,)),
    "belongings": (belongings, (None,)),
}
