"""Functions that are compiled, with either backend; `graph` is of TensorFlow alone."""

import keras


def graph(function=None, **options):
    """tf.function, for code that asks no tensor a question in Python: AutoGraph would read and
    translate all of it and of Keras, which takes longer than the trace.
    """
    import tensorflow as tf

    return tf.function(function, autograph=False, **options)


def kernel(function):
    """A function of arrays as one XLA kernel with TensorFlow, also where the step around it is not
    compiled; as it is with JAX, which compiles all that it trains.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    return graph(function, jit_compile=True)


def compiled(function, model):
    """A function of arrays that reads the variables of a built model, traced once for each shape of
    its arguments.

    Args:
        function: arrays -> a structure of arrays; it changes no variable.

    Returns:
        The same function; it sees the variables as they are when it is called.
    """
    if keras.backend.backend() == "tensorflow":
        return graph(function, reduce_retracing=True)
    import jax

    def stateless(values, *arguments):
        with keras.StatelessScope(zip(model.variables, values)):
            return function(*arguments)

    # A variable that JAX reads while tracing would stay as it was then.
    traced = jax.jit(stateless)
    return lambda *arguments: traced([variable.value for variable in model.variables], *arguments)
