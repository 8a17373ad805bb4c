"""Turns texts, or pairs of texts, into the inputs of a pretrained encoder.

An input has token ids, special tokens included, and token types. Windows for question answering
also have character offsets.

Two kinds of tokenizers split the texts: Hugging Face's `tokenizers`, and our own in
transformer/text/tokenizer.py. Special tokens, truncation and windows work the same for both.
transformer/pretrained/tokenizers.py makes these inputs from the files of a pretrained model.

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

# Half of a UTF-16 surrogate pair. It is not a character, but JSON can contain it.
SURROGATE = re.compile("[\ud800-\udfff]")


class Encoded(typing.NamedTuple):
    """The input made from a text or a pair of texts.

    Attributes:
        ids: list of S ints, the token ids.
        types: list of S ints, the token types.
        length: int, the length of the input in tokens before it is cut.
    """

    ids: list
    types: list
    length: int


class Window(typing.NamedTuple):
    """The input made from a question and one chunk of its context.

    Attributes:
        example: int, the index of the question and its context.
        ids: list of S ints, the token ids.
        types: list of S ints, the token types.
        offsets: list of S items, the (start, end) characters of each token in the context, or None
            for a token that is not from the context.
    """

    example: int
    ids: list
    types: list
    offsets: list


@dataclasses.dataclass(frozen=True)
class Frame:
    """The special ids around one text, `start text end`, or two, `start text between pair end`.

    Attributes:
        start: tuple of int, the ids before the text.
        between: tuple of int, the ids between two texts.
        end: tuple of int, the ids at the end.
        two_types: bool, whether the second text and the ids after it have type 1. Everything else
            has type 0.
    """

    start: tuple
    between: tuple
    end: tuple
    two_types: bool

    def specials(self, pair):
        """Returns the number of special ids around one text, or around two if `pair` is True."""
        return len(self.start) + len(self.end) + (len(self.between) if pair else 0)

    def join(self, first, second=None):
        """Puts the special ids around one text or two.

        Args:
            first: list of int, the ids of the text.
            second: list of int, the ids of the second text. None means that there is none.

        Returns:
            A tuple `(ids, types)` of lists of int, the whole input.
        """
        if second is None:
            ids = [*self.start, *first, *self.end]
            return ids, [0] * len(ids)
        before = [*self.start, *first, *self.between]
        after = [*second, *self.end]
        return before + after, [0] * len(before) + [int(self.two_types)] * len(after)


class TextInputs:
    """Base class of the inputs of encoders.

    A subclass implements `_split(texts)`, which returns for each text its ids and their (start,
    end) character offsets. It also implements `_save` and `_load` for its own files.

    Args:
        frame: `Frame`, the special ids.
        pad_id: int, the id of padding.
        vocab_size: int, the number of ids.
        max_length: int, the largest number of positions of the encoder. None means no limit.
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
        """Encodes texts, or pairs of texts.

        Args:
            texts: list of str.
            pairs: list of str, the second text of each pair. None means that the texts stand alone.
            max_length: int, the largest number of ids in an input, special ids included. A longer
                text loses its end. In a pair the longer text is cut first, until both are equally
                long.

        Returns:
            A list of `Encoded`, one for each text.

        Raises:
            ConfigError: `max_length` is more than the encoder takes or too small for the special
                ids and one token of each text, or the number of pairs is not the number of texts.
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
                f"texts and pairs must have the same length. Received: {len(texts)} texts, "
                f"{len(pairs)} pairs."
            )
        around, found = self.frame.specials(pair=True), []
        for one, other in zip(first, self._ids(pairs)):
            lengths = longest_first(len(one), len(other), max_length - around)
            joined = self.frame.join(one[: lengths[0]], other[: lengths[1]])
            found.append(Encoded(*joined, len(one) + len(other) + around))
        return found

    def encode_apart(self, texts, pairs, max_length=128):
        """Encodes the texts of each pair separately and puts them side by side in one input.

        Each half of the input is a text as `encode` returns it. The shorter half is padded to the
        length of the longer one.

        Args:
            texts: list of str.
            pairs: list of str, the second text of each pair.
            max_length: int, the largest number of ids in each half.

        Returns:
            A list of `Encoded`, one for each pair. `length` is that of the longer text.

        Raises:
            ConfigError: as for `encode`.
            ValueError: the lists differ in length.
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
        """Encodes questions with their contexts, and splits a long context into several windows.

        Args:
            questions: list of str.
            contexts: list of str, the context of each question.
            max_length: int, the largest number of ids in an input.
            stride: int, the number of context tokens that a window shares with the window before
                it. A question that leaves room for less than `stride` + 1 tokens of a long context
                loses its end.

        Returns:
            A list of `Window`, in the order of the questions and of the chunks in each context.
            Offsets leave out white space at the ends of a token.

        Raises:
            ConfigError: as for `encode`, or a window cannot hold `stride` + 1 context tokens and
                one token of the question.
            ValueError: the lists differ in length.
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
                    "max_length must leave room for stride + 1 context tokens and one question "
                    f"token, besides the special tokens. Received: max_length={max_length}, "
                    f"stride={stride}. Use a larger max_length or a smaller stride."
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
        """Writes all files that `load_text_inputs` needs.

        Args:
            folder: str or path. The folder is created if it does not exist.
        """
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
                "max_length must have room for the special tokens and one token of each text. "
                f"Received: {max_length}. Use {least} or more."
            )
        if self.max_length is not None and max_length > self.max_length:
            raise ConfigError(
                f"max_length must not exceed the encoder's {self.max_length} positions. "
                f"Received: {max_length}. Use {self.max_length} or less."
            )

    def _pieces(self, texts):
        """Returns the ids of each text, without special ids, and their (start, end) offsets."""
        # One character replaces one character, so offsets stay correct.
        return self._split([SURROGATE.sub("\ufffd", text) for text in texts])

    def _ids(self, texts):
        return [ids for ids, _ in self._pieces(texts)]


class HuggingFaceInputs(TextInputs):
    """Inputs made by a `tokenizers.Tokenizer`.

    Args:
        tokenizer: `tokenizers.Tokenizer`. Its own truncation and padding are switched off.
        pad_id: int, the id of padding.
        max_length: int, the largest number of positions of the encoder. None means no limit.
        frame: `Frame`. None takes the special ids that the tokenizer's post-processor adds.
        two_types: bool, False for an encoder without a second token type. All types are then 0,
            whatever the frame says.
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
    """Inputs made by one of our own tokenizers: SentencePiece, bytes or characters.

    Args:
        tokenizer: a tokenizer from transformer/text/tokenizer.py.
        frame: `Frame`, the special ids.
        pad_id: int, the id of padding.
        vocab_size: int, the number of ids.
        max_length: int, the largest number of positions of the encoder. None means no limit.
        lowercase: bool, whether to lowercase texts, for a model that was trained on lowercase text.
        shift: int, added to every id except the unknown one. XLM-R's ids are SentencePiece's ids +
            1.
        unk_id: int, the id that replaces the tokenizer's unknown id. None keeps that id.
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
        # Training and Generator read texts in the same way: without white space at the ends, and in
        # lower case if the model was trained so.
        inner = text.strip()
        first = text.find(inner)
        places = range(first, first + len(inner) + 1)
        if self.lowercase:
            # A few letters become two characters in lower case, such as "İ", which becomes "i" and
            # a combining dot. Both get the place of the original letter.
            places = [place for place, letter in zip(places, inner) for _ in letter.lower()] + [
                places[-1]
            ]
            inner = inner.lower()
        ids, spans = _SPANS[self.tokenizer.kind](self.tokenizer, inner)
        ids = [
            self.unk_id if number == self.tokenizer.unk_id else number + self.shift
            for number in ids
        ]
        # A token ends where the original letter of its last character ends.
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
    """Returns how many tokens of two texts to keep so that both fit.

    The longer text is cut to the length of the other one. If that is not enough, both are cut to
    half the room. If the room is odd, the extra token goes to the longer text, or to the second of
    two equally long texts. Hugging Face's tokenizers do the same.

    Args:
        first: int, the number of tokens of the first text.
        second: int, the number of tokens of the second text.
        room: int, the number of tokens that fit.

    Returns:
        A tuple of two ints, the number of tokens to keep of each text.
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
    """Makes the inputs of a run's encoder: `text </s>`, as in training, or `text </s> pair </s>`.

    Args:
        tokenizer: the run's source tokenizer.
        max_length: int, the largest number of positions of the encoder. None means no limit.
        lowercase: bool, whether the run was trained on lowercase text.

    Returns:
        A `RunInputs`.
    """
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
    """Loads the inputs that `TextInputs.save` wrote.

    Args:
        folder: str or path.

    Returns:
        A `TextInputs`.

    Raises:
        ConfigError: a file is missing or broken.
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
            f"a folder of text inputs must contain a valid text_inputs.json. Received: {folder} "
            f"({error})."
        ) from None


def _frame(tokenizer):
    """Returns the Frame that a tokenizer's post-processor puts around one text and two texts."""
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
            "the special tokens of a tokenizer are found by encoding 'a', 'the', '1' or '的'. "
            "Received: a tokenizer that makes no tokens of any of them. Use another tokenizer."
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
            "a tokenizer must start and end a single text and a pair with the same special "
            f"tokens. Received: {single.tokens} for a single text, {pair.tokens} for a pair. Use "
            "another tokenizer."
        )
    return Frame(tuple(start), tuple(between), tuple(end), pair.type_ids[second[0]] == 1)


def _places(numbers, wanted):
    return [place for place, number in enumerate(numbers) if number == wanted]


def _sentencepiece_spans(tokenizer, text):
    """Returns the ids of a text and their (start, end) character offsets.

    SentencePiece itself gives offsets in bytes of the text before normalization.
    """
    from sentencepiece import sentencepiece_pb2

    proto = tokenizer.processor.encode([text], out_type="serialized_proto")[0]
    pieces = sentencepiece_pb2.SentencePieceText.FromString(proto).pieces
    characters = [
        place for place, character in enumerate(text) for _ in character.encode("utf-8")
    ] + [len(text)]
    spans = [(characters[piece.begin], characters[piece.end]) for piece in pieces]
    # One character may become several subwords, such as bytes, or the parts of 1⁄2 for ½. Only the
    # last one has an extent, so the others get the same.
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
    """Reads a tokenizer.json of Hugging Face's `tokenizers`.

    Args:
        path: str or path of the file.

    Returns:
        A `tokenizers.Tokenizer`.

    Raises:
        ConfigError: the file is missing, or is not a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    # The library raises no narrower class.
    except Exception as error:
        raise ConfigError(
            "tokenizer.json must be a file of Hugging Face's tokenizers library. Received: "
            f"{path} ({error})."
        ) from None
