"""Makes TextInputs from the tokenizer files of a pretrained encoder.

The files are those of a Hugging Face folder or of a KerasHub tokenizer. BERT's WordPiece and
RoBERTa's byte-level BPE are rebuilt with Hugging Face's `tokenizers`. SentencePiece models use our
own tokenizer.
"""

import json
import pathlib

from transformer.config import ConfigError
from transformer.text.encoder_inputs import Frame, HuggingFaceInputs, RunInputs, read_tokenizer
from transformer.text.tokenizer import SentencePieceTokenizer


def from_hugging_face(folder, pad_id=None, two_types=True, max_length=None):
    """Makes TextInputs from the tokenizer files of a Hugging Face folder.

    The first of these that the folder has is used: tokenizer.json, vocab.txt (BERT's WordPiece),
    vocab.json with merges.txt (RoBERTa's byte-level BPE), sentencepiece.bpe.model (XLM-R).

    Args:
        folder: str or path. tokenizer_config.json and special_tokens_map.json in it are optional.
        pad_id: int, the id of padding. None takes the id of the padding token that the files name,
            or of [PAD] or <pad>.
        two_types: see `HuggingFaceInputs`.
        max_length: see `HuggingFaceInputs`.

    Returns:
        A `TextInputs`.

    Raises:
        ConfigError: the folder has none of these files, or one is broken.
    """
    folder = pathlib.Path(folder)
    options = _read_json(folder / "special_tokens_map.json") | _read_json(
        folder / "tokenizer_config.json"
    )
    has = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "tokenizer.json" in has:
        tokenizer = read_tokenizer(folder / "tokenizer.json")
    elif "vocab.txt" in has:
        # Split at newlines only. A line may contain U+2028 or U+0085, where splitlines would split.
        words = _read_text(folder / "vocab.txt").removesuffix("\n").split("\n")
        lowercase = options.get("do_lower_case", True)
        tokenizer = word_piece(
            words,
            lowercase,
            options.get("strip_accents"),
            options.get("tokenize_chinese_chars", True),
            _special_names(options),
        )
    elif {"vocab.json", "merges.txt"} <= has:
        vocabulary = _read_json(folder / "vocab.json")
        lines = _read_text(folder / "merges.txt").split("\n")
        merges = [
            tuple(line.split())
            for line in lines
            if line.strip() and not line.startswith("#version")
        ]
        if wrong := [" ".join(merge) for merge in merges if len(merge) != 2]:
            raise ConfigError(
                f"each line of merges.txt must have two subwords. Received: {wrong[0]!r} in "
                f"{folder}. Download it again."
            )
        tokenizer = byte_level_bpe(vocabulary, merges, options.get("add_prefix_space", False))
    elif "sentencepiece.bpe.model" in has:
        return _xlm_roberta((folder / "sentencepiece.bpe.model").read_bytes(), max_length)
    else:
        raise ConfigError(
            "a pretrained encoder needs a tokenizer: tokenizer.json, vocab.txt, vocab.json with "
            f"merges.txt, or sentencepiece.bpe.model. Received: {folder} with "
            f"{', '.join(sorted(has)) or 'no files'}. Download the tokenizer from the model's "
            "repository."
        )
    if pad_id is None:
        pad_id = _first_id(tokenizer, _name(options.get("pad_token")), "[PAD]", "<pad>")
    return HuggingFaceInputs(tokenizer, pad_id, max_length, two_types=two_types)


def _read_text(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"a tokenizer's file must be readable UTF-8. Received: {path} ({error}). Download it "
            "again."
        ) from None


def from_keras_hub(tokenizer, two_types=False, max_length=None):
    """Makes TextInputs from a KerasHub tokenizer: WordPiece, byte-level BPE or SentencePiece.

    Args:
        tokenizer: the KerasHub tokenizer of an encoder.
        two_types: see `HuggingFaceInputs`.
        max_length: see `HuggingFaceInputs`.

    Returns:
        A `TextInputs`.

    Raises:
        ConfigError: the tokenizer is of another kind.
    """
    import keras_hub

    kinds, name = keras_hub.tokenizers, type(tokenizer).__name__
    if isinstance(tokenizer, kinds.WordPieceTokenizer):
        # Uncased checkpoints were trained without accents too (Devlin et al. 2019), even where
        # KerasHub does not strip them.
        accents = tokenizer.strip_accents or tokenizer.lowercase
        inner = word_piece(
            tokenizer.get_vocabulary(), tokenizer.lowercase, accents, tokenizer.split_on_cjk
        )
        return HuggingFaceInputs(inner, tokenizer.pad_token_id, max_length, two_types=two_types)
    if isinstance(tokenizer, kinds.BytePairTokenizer):
        merges = [tuple(merge.split()) for merge in tokenizer.merges]
        inner = byte_level_bpe(dict(tokenizer.vocabulary), merges, tokenizer.add_prefix_space)
        return HuggingFaceInputs(inner, tokenizer.pad_token_id, max_length, two_types=two_types)
    if not isinstance(tokenizer, kinds.SentencePieceTokenizer):
        raise ConfigError(
            f"a KerasHub tokenizer must be WordPiece, byte-pair or SentencePiece. Received: {name}."
        )
    if name == "XLMRobertaTokenizer":
        return _xlm_roberta(tokenizer.proto, max_length)
    end = (tokenizer.end_token_id,)
    frame = Frame((tokenizer.start_token_id,), end, end, two_types)
    inner = SentencePieceTokenizer(tokenizer.proto)
    return RunInputs(inner, frame, tokenizer.pad_token_id, tokenizer.vocabulary_size(), max_length)


def word_piece(words, lowercase=True, strip_accents=None, chinese=True, names=()):
    """Makes BERT's WordPiece tokenizer (Devlin et al. 2019).

    It puts special tokens around texts as in `[CLS] text [SEP]` and `[CLS] text [SEP] pair [SEP]`.

    Args:
        words: list of str. Word i has id i.
        lowercase: bool, whether to lowercase texts.
        strip_accents: bool, whether to remove accents. None means the same as `lowercase`.
        chinese: bool, whether each Chinese character is a word of its own.
        names: dict from role to token, for special tokens other than [UNK], [SEP], [PAD], [CLS] and
            [MASK]. The roles are unk, sep, pad, cls and mask.

    Returns:
        A `tokenizers.Tokenizer`.

    Raises:
        ConfigError: a special token is not in the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    names = {role: f"[{role.upper()}]" for role in ("unk", "sep", "pad", "cls", "mask")} | dict(
        names
    )
    # A word that occurs twice gets its last id, as in the dictionary of BERT's original code.
    vocabulary = {word: number for number, word in enumerate(words)}
    _need(vocabulary, names["unk"], names["sep"], names["cls"])
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=names["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(True, chinese, strip_accents, lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens([name for name in names.values() if name in vocabulary])
    start, end = ((names[role], vocabulary[names[role]]) for role in ("cls", "sep"))
    tokenizer.post_processor = processors.BertProcessing(end, start)
    return tokenizer


def byte_level_bpe(vocabulary, merges, prefix_space=False):
    """Makes RoBERTa's byte-level BPE tokenizer (Radford et al. 2019; Liu et al. 2019).

    It puts special tokens around texts as in `<s> text </s>` and `<s> text </s></s> pair </s>`.

    Args:
        vocabulary: dict from token to id.
        merges: list of pairs of tokens.
        prefix_space: bool, whether to put a space before each text.

    Returns:
        A `tokenizers.Tokenizer`.

    Raises:
        ConfigError: a special token is not in the vocabulary.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    _need(vocabulary, "<s>", "</s>")
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>" if "<unk>" in vocabulary else None)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    special = [name for name in ("<s>", "</s>", "<pad>", "<unk>", "<mask>") if name in vocabulary]
    tokenizer.add_special_tokens(
        [AddedToken(name, lstrip=name == "<mask>", special=True) for name in special]
    )
    start, end = (("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"]))
    tokenizer.post_processor = processors.RobertaProcessing(
        end, start, trim_offsets=True, add_prefix_space=prefix_space
    )
    return tokenizer


def _xlm_roberta(proto, max_length):
    """Makes the inputs of XLM-R (Conneau et al. 2020) from a SentencePiece model.

    The ids are <s> 0, <pad> 1, </s> 2 and <unk> 3, then SentencePiece's own ids + 1, and <mask>
    last.
    """
    inner = SentencePieceTokenizer(proto)
    return RunInputs(
        inner,
        Frame((0,), (2, 2), (2,), False),
        1,
        inner.num_pieces + 2,
        max_length,
        shift=1,
        unk_id=3,
    )


def _read_json(path):
    """Returns the object in a JSON file, or {} if there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(
            f"{path.name} must be JSON. Received: {path} ({error}). Download it again."
        ) from None


def _name(token):
    """Returns the text of a special token, which is given as str or as {"content": str, ...}."""
    return token["content"] if isinstance(token, dict) else token


def _special_names(options):
    roles = ("unk", "sep", "pad", "cls", "mask")
    return {role: _name(options[f"{role}_token"]) for role in roles if options.get(f"{role}_token")}


def _first_id(tokenizer, *names):
    ids = [tokenizer.token_to_id(name) for name in names if name is not None]
    found = [number for number in ids if number is not None]
    if not found:
        raise ConfigError(
            "a tokenizer must have a padding token. Received: a tokenizer without "
            f"{', '.join(filter(None, names))}. Set pad_token in tokenizer_config.json."
        )
    return found[0]


def _need(vocabulary, *names):
    missing = [name for name in names if name not in vocabulary]
    if missing:
        raise ConfigError(
            f"a vocabulary must contain its special tokens. Received: {len(vocabulary)} tokens "
            f"without {', '.join(missing)}. Use the model's own vocabulary, or for WordPiece "
            "name its special tokens in tokenizer_config.json."
        )
