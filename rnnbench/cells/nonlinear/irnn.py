"""The relu RNN that starts at the identity (Le, Jaitly & Hinton 2015)."""

from torch import nn

from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.cells.registry import register_cell


@register_cell("irnn")
class IRNN(RNN):
    """h_t = relu(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), and its initialisation makes it what it is.

    W_hh = I, the biases are zero, W_ih is Gaussian with standard deviation 0.001, as in the paper's experiments: at
    the start it adds up its inputs. `RNN` with relu and the initialisation "identity" leaves W_ih at torch's.
    """

    paper = "Le et al. 2015"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, nonlinearity="relu")

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight_ih, std=0.001)
        nn.init.eye_(self.weight_hh)
        nn.init.zeros_(self.bias_ih)
        nn.init.zeros_(self.bias_hh)
