from .loop import make_trainee, start_training
