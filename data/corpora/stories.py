"""Stories with one question each, after Weston et al. 2015.

The paper is "Towards AI-complete question answering". A small world is played through, told in
sentences, and asked about. The answer is read off the world.

    one_fact    where somebody is
    two_facts   where a thing is that somebody took and may have carried or put down
    count       how many things somebody has
    list        which things somebody has, in the order in which they got them
    yes_no      whether something is so
    position    the direction from one landmark to another, over one step or several
    everyone    where each person is
    belongings  which things each person has

The last two kinds ask for everything at once. From their answers of many words, a model learns
sooner what the other kinds ask for singly.

Always giving a kind's most frequent answer scores low: where there are few answers, they are
equally frequent. The test cannot be passed by memorizing stories either. The cast of a story,
which is the set of all its people or landmarks, belongs to one split and is never the cast of a
story in another.
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
    """Returns a corpus of stories of 2 to 12 sentences, with equally many of each kind.

    Args:
        size: int, the number of training pairs, at most a million. Validation and test get 1,000
            more each.
        seed: int.

    Returns:
        {"train", "validation", "test"} -> list of `Pair`. No source occurs twice.

    Raises:
        DataError: `size` is too large.
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
    """Returns a story of one kind, with a cast of one split.

    Args:
        generator: random.Random.
        kind: str, one of `KINDS`.
        split: str, "train", "validation" or "test".

    Returns:
        A `Pair`.
    """
    tell, wanted = KINDS[kind][0], generator.choice(KINDS[kind][1])
    names, sizes = (LANDMARKS, range(3, 14)) if tell is position else (WOMEN + MEN, range(2, 5))
    cast = generator.sample(names, generator.choice(sizes))
    while split_of([tuple(sorted(cast))]) != split:
        cast = generator.sample(names, generator.choice(sizes))
    # Not every world has the wanted answer. In that case another world is drawn: taking another
    # answer of the same world would make long answers rare.
    while not (told := tell(generator, cast, wanted)):
        pass
    sentences, question, answer = told
    return Pair(source_of(question, " ".join(sentences)), answer, kind)


class World:
    """People who move and handle things: the present state, and the sentences that led to it.

    Args:
        generator: random.Random.

    Attributes:
        places: list of str, the places that exist.
        things: list of str, the things that exist.
        place: {person: place}.
        holder: {thing: person}, in the order in which the people got the things.
        spot: {thing: place where it was put down}.
        sentences: list of str.
        visited: list of str, the places that people went to, in order.
        subject: str, the person that "she" or "he" would mean in the next sentence, or "".
    """

    def __init__(self, generator):
        self.generator = generator
        self.places = generator.sample(PLACES, generator.randint(3, 5))
        self.things = generator.sample(THINGS, generator.randint(3, 6))
        self.place = {}
        self.holder = {}
        self.spot = {}
        self.sentences, self.visited = [], []
        self.subject = ""

    def happen(self, person):
        """Lets a person do something.

        A person's first event is always a move, so that the place of all things is known.
        """
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
        """Moves a person, together with the first of `others` if there is one, to another place."""
        place = self.generator.choice(
            [place for place in self.places if place != self.place.get(person)]
        )
        people = [person, *others[:1]]
        self.place |= dict.fromkeys(people, place)
        self.visited.append(place)
        self.tell(people, MOVES, place, clear=len(people) == 1)

    def take(self, person, thing):
        """Lets a person take a thing."""
        self.holder[thing] = person
        self.spot.pop(thing, None)
        self.tell([person], TAKES, thing)

    def put(self, person, thing):
        """Lets a person put down a thing."""
        del self.holder[thing]
        self.spot[thing] = self.place[person]
        self.tell([person], PUTS, thing)

    def give(self, person, thing, other):
        """Lets a person give a thing to another person."""
        # Deleted first, so that the thing becomes the last one in the order of `holder`.
        del self.holder[thing]
        self.holder[thing] = other
        self.tell([person], GIVES, thing, other, clear=False)

    def tell(self, people, wordings, *words, clear=True):
        """Adds a sentence.

        Args:
            people: list of str, the people in the subject. The first may become a pronoun.
            wordings: tuple of str, templates, one of which is chosen.
            *words: str, fill the template.
            clear: bool, whether a pronoun in the next sentence can only mean this subject.
        """
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
        """Returns the things that a person has, in the order in which they got them."""
        return [thing for thing, holder in self.holder.items() if holder == person]

    def spots(self):
        """Returns the place of every thing that was mentioned, {thing: place}."""
        return {**{thing: self.place[holder] for thing, holder in self.holder.items()}, **self.spot}

    def ask(self, questions, name, answer):
        """Returns (sentences, question, answer), the question from one of the templates."""
        return self.sentences, self.generator.choice(questions).format(name), answer


def played(generator, cast):
    """Returns a World after at least as many events as the cast has people, and at most 12.

    Every person of the cast takes part in an event.
    """
    world = World(generator)
    for left in range(generator.randint(len(cast), 12), 0, -1):
        unseen = [person for person in cast if person not in world.place]
        world.happen(generator.choice(unseen if len(unseen) == left else cast))
    return world


# Each kind has a function (generator, cast, wanted) -> (sentences, question, answer). It returns
# None if the world that was drawn does not have the wanted answer.


def one_fact(generator, cast, wanted):
    """Asks for the place of a person: "Where is Paula?"."""
    world, person = played(generator, cast), generator.choice(cast)
    return world.ask(WHERE_IS, person, world.place[person])


def two_facts(generator, cast, wanted):
    """Asks for the place of a thing: "Where is the kite?"."""
    world = played(generator, cast)
    if spots := world.spots():
        thing = generator.choice(list(spots))
        return world.ask(WHERE_IS, f"the {thing}", spots[thing])


def count(generator, cast, wanted):
    """Asks for a number of things: "How many things does Paula have?". `wanted` is the number."""
    world = played(generator, cast)
    if people := [person for person in cast if len(world.hands(person)) == wanted]:
        questions = (
            "How many things does {} have?",
            "How many things is {} carrying?",
            "How many things does {} hold?",
        )
        return world.ask(questions, generator.choice(people), NUMBERS[wanted])


def things(generator, cast, wanted):
    """Asks for a list of things: "What does Paula have?". `wanted` is the number of things."""
    world = played(generator, cast)
    if people := [person for person in cast if len(world.hands(person)) == wanted]:
        person = generator.choice(people)
        answer = ", ".join(world.hands(person)) or "nothing"
        return world.ask(
            ("What does {} have?", "What is {} carrying?", "What does {} hold?"), person, answer
        )


def everyone(generator, cast, wanted):
    """Asks for the place of each person, in the order of their names: "Where is everyone?"."""
    world = played(generator, cast)
    answer = ", ".join(f"{person} {world.place[person]}" for person in sorted(cast))
    return world.ask(("Where is everyone?", "Where is everyone now?"), "", answer)


def belongings(generator, cast, wanted):
    """Asks for the things of each person, in the order of their names: "Who has what?"."""
    world = played(generator, cast)
    answer = ", ".join(
        f"{person} {' and '.join(world.hands(person)) or 'nothing'}" for person in sorted(cast)
    )
    return world.ask(("Who has what?", "Who is carrying what?"), "", answer)


def yes_no(generator, cast, wanted):
    """Asks whether something is so: "Is Paula in the park?".

    `wanted` is what the question is about ("person", "thing" or "having") and the answer.
    """
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
    """Asks for a direction: "In which direction is the mill from the pond?".

    `wanted` is the direction.
    """
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


# The function of each kind, and the choices for its `wanted`.
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
