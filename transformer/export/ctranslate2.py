"""Exports a run as a CTranslate2 model, for fast inference on CPUs without TensorFlow.

The weights go straight into CTranslate2's specification (https://opennmt.net/CTranslate2).
CTranslate2 keeps queries, keys and values in one matrix, as our model does.
"""

import itertools
import json
import pathlib

import numpy as np
from keras import ops

from transformer.config import ConfigError, DecodingConfig
from transformer.files import replacing_folder
from transformer.generation.generator import TOKENS, Generator
from transformer.generation.search import NEVER
from transformer.model.positions import sinusoids
from transformer.text.tokenizer import save_tokenizers

ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "gelu_tanh": "GELUTanh", "swish": "SWISH"}


def export_ctranslate2(generator, folder, quantization="float32", texts=()):
    """Writes a model for `ctranslate2.Translator(folder)`, reads it back and compares its outputs.

    The input of the model is the list of a text's subwords, named as in `tokenizer.vocabulary()` or
    SentencePiece's `encode(text, out_type=str)`. CTranslate2 adds the end token. The tokenizers are
    written to the folder too.

    Args:
        generator: `Generator`.
        folder: str or path, where to write. It must not exist.
        quantization: "float32" or "int8", the type of the matrices.
        texts: iterable of str, source texts to compare outputs on, with greedy decoding.

    Returns:
        A tuple `(compared, same)`: the number of texts that fit into the model uncut and were
        compared, and the number of these for which both outputs are the same.

    Raises:
        ConfigError: CTranslate2 is not installed, the folder exists, the run copies (`copy_unknown`
            or `pointer_generator`), or an output differs in float32.
    """
    folder = pathlib.Path(folder)
    if folder.exists():
        raise ConfigError(
            f"the output folder of an export must not exist yet. Received: {folder}. Use another "
            "--output, or remove the folder."
        )
    if generator.copy_unknown:
        raise ConfigError(
            "a run with copy_unknown cannot be exported, because CTranslate2 cannot replace "
            "symbols with their values. Received: copy_unknown=True. Use python -m transformer "
            "generate."
        )
    if generator.model.config.pointer_generator:
        raise ConfigError(
            "a run with a pointer-generator cannot be exported, because CTranslate2 does not "
            "have one. Received: pointer_generator=True. Use python -m transformer generate."
        )
    try:
        import ctranslate2
    except ImportError:
        raise ConfigError(
            "--format=ctranslate2 needs CTranslate2. Run: pip install "
            "'transformer-keras[ctranslate2]'."
        ) from None
    spec = make_spec(generator)
    spec.validate()
    spec.optimize(quantization=quantization)
    with replacing_folder(folder) as temporary:
        spec.save(str(temporary))
        save_tokenizers(
            temporary / "tokenizer", generator.source_tokenizer, generator.target_tokenizer
        )
        translator = ctranslate2.Translator(str(temporary), compute_type=quantization)
        found = compare(generator, translator, texts)
        if quantization == "float32" and found[0] != found[1]:
            raise ConfigError(
                "the exported model must give the same outputs as the run. Received: only "
                f"{found[1]} of {found[0]} outputs are the same."
            )
    return found


def sources_of(run, count=1000):
    """Returns the first source texts that a finished run was tested on.

    Args:
        run: str or path, the run folder.
        count: int, the largest number of texts.

    Returns:
        A list of str.

    Raises:
        ConfigError: the run has no predictions, because it was stopped before its test.
    """
    try:
        with open(pathlib.Path(run) / "predictions.jsonl", encoding="utf-8") as file:
            return [json.loads(line)["source"] for line in itertools.islice(file, count)]
    except OSError as error:
        raise ConfigError(
            "a run to export needs predictions.jsonl, because the export is compared on its "
            f"sources. Received: {error}. Run the training command again, so that it finishes "
            "its test."
        ) from None


def compare(generator, translator, texts):
    """Counts the texts for which a Generator and a Translator write the same, with greedy decoding.

    Args:
        generator: `Generator`.
        translator: `ctranslate2.Translator`, of the exported model.
        texts: iterable of str.

    Returns:
        A tuple `(compared, same)`: the number of texts that fit into the model uncut, and the
        number of these for which both outputs are the same.
    """
    greedy = Generator(
        generator.model,
        generator.source_tokenizer,
        generator.target_tokenizer,
        DecodingConfig(beam_size=1),
        generator.max_source_length,
        generator.lowercase,
    )
    texts = [text for text in texts if len(greedy.source_ids(text)) <= greedy.max_source_length]
    theirs = translate(greedy, translator, texts, beam_size=1)
    return len(texts), sum(a == b for a, b in zip(greedy(texts), theirs))


def translate(generator, translator, texts, **options):
    """Writes a text for each source text with a CTranslate2 model.

    Args:
        generator: `Generator`, whose tokenizers and limits are used.
        translator: `ctranslate2.Translator`, of the exported model.
        texts: list of str.
        **options: passed to `translate_batch`.

    Returns:
        A list of str.
    """
    names = generator.source_tokenizer.vocabulary()
    numbers = {
        piece: number for number, piece in enumerate(generator.target_tokenizer.vocabulary())
    }
    ids = [generator.source_ids(text)[:-1] for text in texts]
    limits = [generator.longest_output(len(row) + 1) for row in ids]
    results = translator.translate_batch(
        [[names[number] for number in row] for row in ids],
        max_batch_size=TOKENS,
        batch_type="tokens",
        max_decoding_length=max(limits, default=1),
        **options,
    )
    outputs = [[numbers[piece] for piece in result.hypotheses[0]] for result in results]
    # Our limits count the end token, which is not in CTranslate2's outputs.
    return generator.target_tokenizer.decode(
        [output[: limit - 1] for output, limit in zip(outputs, limits)]
    )


def make_spec(generator):
    """Makes the CTranslate2 specification of a model and its vocabularies.

    Args:
        generator: `Generator`.

    Returns:
        A `ctranslate2.specs.TransformerSpec`.
    """
    from ctranslate2.specs import common_spec, transformer_spec

    model, config = generator.model, generator.model.config
    options = dict(
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        pre_norm=config.norm == "pre",
        ffn_glu=config.gated,
        layernorm_embedding=config.embedding_norm,
        activation=getattr(common_spec.Activation, ACTIVATIONS[config.activation]),
        rms_norm=config.norm_type == "rms",
    )
    if config.positions == "rotary":
        options |= dict(rotary_dim=0, rotary_interleave=False)
    spec = transformer_spec.TransformerSpec(
        transformer_spec.TransformerEncoderSpec(**options),
        transformer_spec.TransformerDecoderSpec(**options),
    )
    for theirs, ours in ((spec.encoder, model.encoder), (spec.decoder, model.decoder)):
        _fill_stack(theirs, ours, _positions(ours, generator))
    spec.encoder.embeddings[0].weight = _array(model.source_embedding.embeddings)
    spec.decoder.embeddings.weight = _array(model.target_embedding.embeddings)
    spec.decoder.projection.weight = _array(model.output_table)
    spec.decoder.projection.bias = _never_written(generator.target_tokenizer)
    _fill_config(spec, generator)
    return spec


def _never_written(tokenizer):
    """Returns a float32 (V,) bias of the logits that rules out pad and bos.

    transformer/generation/search.py rules out the same ids.
    """
    bias = np.zeros(tokenizer.vocab_size, "float32")
    bias[
        [number for number in (tokenizer.pad_id, tokenizer.bos_id) if number != tokenizer.eos_id]
    ] = NEVER
    return bias


def _fill_config(spec, generator):
    names = generator.target_tokenizer.vocabulary()
    spec.register_source_vocabulary(generator.source_tokenizer.vocabulary())
    spec.register_target_vocabulary(names)
    tokenizer, config = generator.target_tokenizer, spec.config
    config.bos_token = config.decoder_start_token = names[tokenizer.bos_id]
    config.eos_token, config.unk_token = names[tokenizer.eos_id], names[tokenizer.unk_id]
    config.add_source_eos, config.layer_norm_epsilon = True, generator.model.config.norm_epsilon


def _fill_stack(theirs, ours, positions):
    """Fills the specification of an encoder or a decoder with the weights of ours."""
    theirs.scale_embeddings = ours.config.scale_embeddings
    if positions is not None:
        theirs.position_encodings.encodings = positions
    if ours.embedding_norm:
        _fill_norm(theirs.layernorm_embedding, ours.embedding_norm)
    if ours.norm:
        _fill_norm(theirs.layer_norm, ours.norm)
    for layer, own in zip(theirs.layer, ours.layers):
        attentions = {"self": layer.self_attention} | (
            {"cross": layer.attention} if hasattr(layer, "attention") else {}
        )
        for kind, attention in attentions.items():
            own_attention = getattr(own, f"{kind}_attention")
            for linear, dense in zip(
                attention.linear, (*own_attention.projections, own_attention.output_projection)
            ):
                _fill_linear(linear, dense)
            _fill_norm(attention.layer_norm, getattr(own, f"{kind}_residual").norm)
        _fill_linear(layer.ffn.linear_0, own.feed_forward.inner)
        _fill_linear(layer.ffn.linear_1, own.feed_forward.outer)
        if own.feed_forward.gate:
            _fill_linear(layer.ffn.linear_0_noact, own.feed_forward.gate)
        _fill_norm(layer.ffn.layer_norm, own.feed_forward_residual.norm)


def _fill_linear(linear, dense):
    """Copies a Dense layer. CTranslate2's matrices are (out, in), ours are (in, out)."""
    linear.weight = _array(ops.transpose(dense.kernel))
    if dense.use_bias:
        linear.bias = _array(dense.bias)


def _fill_norm(theirs, norm):
    theirs.gamma = _array(norm.scale if hasattr(theirs, "layer_norm_use_residual") else norm.gamma)
    if hasattr(theirs, "beta"):
        theirs.beta = _array(norm.beta)


def _positions(stack, generator):
    """Returns the vectors that a stack adds to its embeddings, float32 (L, D), or None."""
    config = stack.config
    if config.positions == "rotary":
        return None
    if config.positions == "learned":
        return _array(stack.positions.table.embeddings)
    length = max(generator.max_source_length, generator.longest_output(generator.max_source_length))
    return _array(sinusoids(np.arange(length + 1), config.d_model))


def _array(x):
    return np.ascontiguousarray(ops.convert_to_numpy(x), "float32")
