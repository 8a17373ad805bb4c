"""Texts, or pairs of texts, as the inputs of a pretrained encoder: ids with its special tokens,
types, and offsets.

Two kinds of tokenizers do the splitting: Hugging Face's `tokenizers`, and our own of
transformer.text.tokenizer. What comes before, between and after the texts, truncation and windows
are the same for both. transformer/pretrained/tokenizers.py makes them from the files of a
pretrained model.

Shapes: S length of an input in tokens.
"""

import dataclasses
import json
import pathlib
import re
import typing

from transformer.config import ConfigError
from transformer.files import write_json, write_text
from transformer.text.tokenizer import load_tokenizers, save_tokenizers

# Half of a pair that UTF-16 makes of one character: no text by itself, but JSON can hold it.
SURROGATE = re.compile("[\ud800-\udfff]")


class Encoded(typing.NamedTuple):
    """The input made of a text or a pair: lists of S ids and S types, and the length it has when
    nothing is cut off."""

    ids: list
    types: list
    length: int


class Window(typing.NamedTuple):
    """A question and a part of its context: ids and types as in `Encoded`, the number of the pair,
    and for every token the (start, end) of its characters in the context, or None where it is not
    of the context.
    """

    example: int
    ids: list
    types: list
    offsets: list


@dataclasses.dataclass(frozen=True)
class Frame:
    """The special ids around one text, `start text end`, or two, `start text between pair end`.

    `two_types`: the pair and the end after it have type 1, all else 0.
    """

    start: tuple
    between: tuple
    end: tuple
    two_types: bool

    def specials(self, pair):
        """How many special ids there are around one text, or two."""
        return len(self.start) + len(self.end) + (len(self.between) if pair else 0)

    def join(self, first, second=None):
        """Lists of ids -> ids and types of the whole input."""
        if second is None:
            ids = [*self.start, *first, *self.end]
            return ids, [0] * len(ids)
        before = [*self.start, *first, *self.between]
        after = [*second, *self.end]
        return before + after, [0] * len(before) + [int(self.two_types)] * len(after)


class TextInputs:
    """What all kinds share. A subclass splits texts: `_split(texts)` -> for each its ids and
    (start, end) offsets.

    Args:
        frame: the special ids.
        pad_id: of padding.
        vocab_size: how many ids there are.
        max_length: most positions of the encoder, or None.
    """

    kind = None

    def __init__(self, frame, pad_id, vocab_size, max_length=None):
        self.frame, self.pad_id, self.vocab_size, self.max_length = (
            frame,
            pad_id,
            vocab_size,
            max_length,
        )

    def encode(self, texts, pairs=None, max_length=128):
        """Inputs of texts, each with its pair if there are pairs.

        Args:
            texts: list of str.
            pairs: None or as many str.
            max_length: most ids of an input, special ones included. A longer text loses its end; of
                a pair, the longer text loses first, until both are equally long.

        Returns:
            A list of Encoded.

        Raises:
            ConfigError: max_length is more than the encoder takes or too small for the special ids.
        """
        self._check_length(max_length, pairs is not None)
        first = self._ids(texts)
        if pairs is None:
            around = self.frame.specials(pair=False)
            return [
                Encoded(*self.frame.join(ids[: max_length - around]), len(ids) + around)
                for ids in first
            ]
        if len(pairs) != len(texts):
            raise ConfigError(
                f"every text needs a pair. Received: {len(texts)} texts, {len(pairs)} pairs."
            )
        around, found = self.frame.specials(pair=True), []
        for one, other in zip(first, self._ids(pairs)):
            lengths = longest_first(len(one), len(other), max_length - around)
            joined = self.frame.join(one[: lengths[0]], other[: lengths[1]])
            found.append(Encoded(*joined, len(one) + len(other) + around))
        return found

    def encode_apart(self, texts, pairs, max_length=128):
        """Inputs of texts and their pairs, each text alone as `encode` makes it, side by side in
        one: two halves of the same length, the shorter filled up with padding. Arguments, result
        and errors as for `encode`; `length` is the longer text's.
        """
        found = []
        for both in zip(
            self.encode(texts, None, max_length), self.encode(pairs, None, max_length), strict=True
        ):
            half = max(len(one.ids) for one in both)
            ids = [id for one in both for id in one.ids + [self.pad_id] * (half - len(one.ids))]
            found.append(Encoded(ids, [0] * len(ids), max(one.length for one in both)))
        return found

    def windows(self, questions, contexts, max_length=384, stride=128):
        """Inputs of questions and their contexts; a context that is too long gives several, each
        with a part of it.

        Args:
            questions, contexts: lists of str, equally long.
            max_length: most ids of an input.
            stride: tokens of the context that a window shares with the one before. A question that
                leaves the context too little room to move on loses its end.

        Returns:
            A list of Window, in order. Offsets leave out white space at a token's ends.

        Raises:
            ConfigError: as in `encode`, or windows of that length and stride cannot move on.
        """
        self._check_length(max_length, pair=True)
        found = []
        for example, (question, context, (ids, offsets)) in enumerate(
            zip(self._ids(questions), contexts, self._pieces(contexts), strict=True)
        ):
            room = max_length - self.frame.specials(pair=True)
            most = room - min(len(ids), stride + 1)
            if most < 1:
                raise ConfigError(
                    "a window must hold more than `stride` tokens of the context and one of the "
                    "question. Received: "
                    f"max_length={max_length}, stride={stride}. Use a larger max_length or a "
                    f"smaller stride."
                )
            question = question[:most]
            room -= len(question)
            offsets = [_trimmed(context, *pair) for pair in offsets]
            for start in range(0, max(len(ids) - stride, 1), max(room - stride, 1)):
                part = slice(start, start + room)
                own = [None] * (
                    len(self.frame.start) + len(question) + len(self.frame.between)
                ) + offsets[part]
                own += [None] * len(self.frame.end)
                found.append(Window(example, *self.frame.join(question, ids[part]), own))
        return found

    def save(self, folder):
        """Writes all that `load_text_inputs` needs into a folder, which is made if it is not
        there."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "kind": self.kind,
            "frame": dataclasses.asdict(self.frame),
            "pad_id": self.pad_id,
            "vocab_size": self.vocab_size,
            "max_length": self.max_length,
            **self._save(folder),
        }
        write_json(folder / "text_inputs.json", state)

    def _check_length(self, max_length, pair):
        least = self.frame.specials(pair) + 1 + pair
        if max_length < least:
            raise ConfigError(
                f"max_length must hold the special tokens and one of each text. Received: "
                f"{max_length}. "
                f"Use {least} or more."
            )
        if self.max_length is not None and max_length > self.max_length:
            raise ConfigError(
                f"max_length must not exceed the encoder's {self.max_length} positions. "
                f"Received: {max_length}. Use {self.max_length} or less."
            )

    def _pieces(self, texts):
        """For each text its ids, without special ones, and their (start, end) offsets in it."""
        # One character for one: offsets stay.
        return self._split([SURROGATE.sub("\ufffd", text) for text in texts])

    def _ids(self, texts):
        return [ids for ids, _ in self._pieces(texts)]


class HuggingFaceInputs(TextInputs):
    """Inputs by a `tokenizers.Tokenizer`. Its own truncation and padding are switched off.

    Args:
        tokenizer: a tokenizers.Tokenizer.
        pad_id, max_length: as in TextInputs.
        frame: a Frame; None: the one that the tokenizer's post-processor makes.
        two_types: False where the encoder has no second type, whatever the tokenizer says.
    """

    kind = "hugging_face"

    def __init__(self, tokenizer, pad_id, max_length=None, frame=None, two_types=True):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        frame = frame or _frame(tokenizer)
        frame = dataclasses.replace(frame, two_types=frame.two_types and two_types)
        super().__init__(frame, pad_id, tokenizer.get_vocab_size(), max_length)
        self.tokenizer = tokenizer

    def _split(self, texts):
        return [
            (piece.ids, piece.offsets)
            for piece in self.tokenizer.encode_batch(texts, add_special_tokens=False)
        ]

    def _save(self, folder):
        write_text(folder / "tokenizer.json", self.tokenizer.to_str())
        return {}

    @classmethod
    def _load(cls, folder, state, frame):
        return cls(
            read_tokenizer(folder / "tokenizer.json"), state["pad_id"], state["max_length"], frame
        )


class RunInputs(TextInputs):
    """Inputs by a tokenizer of transformer.text.tokenizer: SentencePiece, bytes or characters.

    Args:
        tokenizer: the tokenizer.
        frame, pad_id, vocab_size, max_length: as in TextInputs.
        lowercase: lowercase texts, for a model that was trained so.
        shift, unk_id: what is added to ids other than the unknown one, and the id of that: XLM-R's
            are SentencePiece's + 1.
    """

    kind = "run"

    def __init__(
        self,
        tokenizer,
        frame,
        pad_id,
        vocab_size,
        max_length=None,
        lowercase=False,
        shift=0,
        unk_id=None,
    ):
        super().__init__(frame, pad_id, vocab_size, max_length)
        self.tokenizer, self.lowercase, self.shift = tokenizer, lowercase, shift
        self.unk_id = tokenizer.unk_id if unk_id is None else unk_id

    def _split(self, texts):
        return [self._piece(text) for text in texts]

    def _piece(self, text):
        # As in training and in a Generator: the text within its white space, in lower case if the
        # model knows no other.
        inner = text.strip()
        first = text.find(inner)
        places = range(first, first + len(inner) + 1)
        if self.lowercase:
            # A few letters become two: "İ" is "i" and a dot.
            places = [place for place, letter in zip(places, inner) for _ in letter.lower()] + [
                places[-1]
            ]
            inner = inner.lower()
        ids, spans = _SPANS[self.tokenizer.kind](self.tokenizer, inner)
        ids = [
            self.unk_id if number == self.tokenizer.unk_id else number + self.shift
            for number in ids
        ]
        # The end of a piece is the end of its last character.
        return ids, [
            (places[start], places[end - 1] + 1 if end > start else places[start])
            for start, end in spans
        ]

    def _save(self, folder):
        save_tokenizers(folder, self.tokenizer, self.tokenizer)
        return {"lowercase": self.lowercase, "shift": self.shift, "unk_id": self.unk_id}

    @classmethod
    def _load(cls, folder, state, frame):
        names = ("pad_id", "vocab_size", "max_length", "lowercase", "shift", "unk_id")
        return cls(load_tokenizers(folder)[0], frame, **{name: state[name] for name in names})


def longest_first(first, second, room):
    """How many tokens of two texts are kept so that both fit: the longer one is cut to the length
    of the other, then both.

    As Hugging Face's tokenizers do; an odd token goes to the second text, or to the longer one.
    """
    short, long = sorted((first, second))
    long = max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (
        (min(first, long), min(second, short))
        if first > second
        else (min(first, short), min(second, long))
    )


def from_run(tokenizer, max_length=None, lowercase=False):
    """Inputs of a run's encoder: `text </s>`, as it was trained, and `text </s> pair </s>`."""
    end = (tokenizer.eos_id,)
    return RunInputs(
        tokenizer,
        Frame((), end, end, False),
        tokenizer.pad_id,
        tokenizer.vocab_size,
        max_length,
        lowercase,
    )


def load_text_inputs(folder):
    """What `TextInputs.save` wrote.

    Raises:
        ConfigError: the folder holds none, or is not whole.
    """
    folder = pathlib.Path(folder)
    try:
        state = json.loads((folder / "text_inputs.json").read_text(encoding="utf-8"))
        frame = Frame(
            **{name: tuple(x) if isinstance(x, list) else x for name, x in state["frame"].items()}
        )
        kinds = {kind.kind: kind for kind in (HuggingFaceInputs, RunInputs)}
        return kinds[state["kind"]]._load(folder, state, frame)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"a folder of text inputs must hold text_inputs.json. Received: {folder} ({error})."
        ) from None


def _frame(tokenizer):
    """The Frame that a tokenizer's post-processor puts around one and two texts."""
    probe = next(
        (
            word
            for word in ("a", "the", "1", "的")
            if tokenizer.encode(word, add_special_tokens=False).ids
        ),
        None,
    )
    if probe is None:
        raise ConfigError(
            "a tokenizer must know some letter. Received: one that makes nothing of 'a', 'the', "
            "'1' and '的'."
        )
    single, pair = tokenizer.encode(probe), tokenizer.encode(probe, probe)
    first, second = (_places(pair.sequence_ids, number) for number in (0, 1))
    start, between, end = (
        pair.ids[: first[0]],
        pair.ids[first[-1] + 1 : second[0]],
        pair.ids[second[-1] + 1 :],
    )
    alone = _places(single.sequence_ids, 0)
    if single.ids[: alone[0]] != start or single.ids[alone[-1] + 1 :] != end:
        raise ConfigError(
            "a tokenizer must put the same tokens around one text and around two. "
            f"Received: {single.tokens} and {pair.tokens}."
        )
    return Frame(tuple(start), tuple(between), tuple(end), pair.type_ids[second[0]] == 1)


def _places(numbers, wanted):
    return [place for place, number in enumerate(numbers) if number == wanted]


def _sentencepiece_spans(tokenizer, text):
    """Ids and (start, end) character offsets. SentencePiece counts bytes, of the text before
    normalisation."""
    from sentencepiece import sentencepiece_pb2

    proto = tokenizer.processor.encode([text], out_type="serialized_proto")[0]
    pieces = sentencepiece_pb2.SentencePieceText.FromString(proto).pieces
    characters = [
        place for place, character in enumerate(text) for _ in character.encode("utf-8")
    ] + [len(text)]
    spans = [(characters[piece.begin], characters[piece.end]) for piece in pieces]
    # Of the pieces of one character (bytes, or ½ as 1⁄2) only the last has an extent; it is that of
    # all.
    for number in reversed(range(len(spans) - 1)):
        (start, end), after = spans[number], spans[number + 1]
        if start == end == after[0]:
            spans[number] = after
    return [piece.id for piece in pieces], spans


def _byte_spans(tokenizer, text):
    return tokenizer.encode([text])[0], [
        (place, place + 1) for place, x in enumerate(text) for _ in x.encode("utf-8")
    ]


def _character_spans(tokenizer, text):
    return tokenizer.encode([text])[0], [(place, place + 1) for place in range(len(text))]


_SPANS = {"sentencepiece": _sentencepiece_spans, "byte": _byte_spans, "character": _character_spans}


def _trimmed(text, start, end):
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def read_tokenizer(path):
    """The tokenizers.Tokenizer of a tokenizer.json; ConfigError if it is none."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower class
        raise ConfigError(
            f"tokenizer.json must be one of Hugging Face's tokenizers. Received: {path} ({error})."
        ) from None
