from .evaluation import evaluate_generator, evaluate_programs
from .plots import attention_of, plot_attention, plot_curves, read_curves
