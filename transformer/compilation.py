"""A function of a model as one compiled graph, with either backend."""

import keras


def compiled(function, model):
    """A function of arrays that reads the variables of a built model, traced once for each shape of its arguments.

    Args:
        function: arrays -> a structure of arrays; it changes no variable.

    Returns:
        The same function; it sees the variables as they are when it is called.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)
    import jax

    def stateless(values, *arguments):
        with keras.StatelessScope(zip(model.variables, values)):
            return function(*arguments)

    # A variable that JAX reads while tracing would stay as it was then.
    traced = jax.jit(stateless)
    return lambda *arguments: traced([variable.value for variable in model.variables], *arguments)
