"""Helpers that compile functions under TensorFlow and JAX. `graph` is for TensorFlow only."""

import keras


def graph(function=None, **options):
    """Wraps `tf.function` for code without Python control flow on tensors.

    AutoGraph is off. It would read and translate all of the code, Keras included, which takes
    longer than the trace itself.

    Args:
        function: the function to compile. None returns a decorator.
        **options: arguments of `tf.function`, such as `jit_compile`.

    Returns:
        The compiled function, or a decorator.
    """
    import tensorflow as tf

    return tf.function(function, autograph=False, **options)


def kernel(function):
    """Compiles a function of arrays to a single XLA kernel under TensorFlow.

    It stays one kernel even if the training step around it is not compiled. Under JAX the function
    is returned unchanged, since JAX compiles the whole training step anyway.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    return graph(function, jit_compile=True)


def compiled(function, model):
    """Compiles a function of arrays that reads the variables of a built model.

    It is traced once for each shape of its arguments.

    Args:
        function: maps arrays to a structure of arrays. It must not change any variable.
        model: the built Keras model whose variables it reads.

    Returns:
        The compiled function. Each call uses the current values of the variables.
    """
    if keras.backend.backend() == "tensorflow":
        return graph(function, reduce_retracing=True)
    import jax

    def stateless(values, *arguments):
        with keras.StatelessScope(zip(model.variables, values)):
            return function(*arguments)

    # Pass the variables as arguments. Otherwise JAX would keep the values they had when it traced
    # the function.
    traced = jax.jit(stateless)
    return lambda *arguments: traced([variable.value for variable in model.variables], *arguments)
