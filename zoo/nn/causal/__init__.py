"""Causal networks: their features at a pixel depend only on the pixels before it in raster order.

Each is written once and evaluated at a place (`zoo.nn.causal.places`): everywhere, for the likelihood, or at
one pixel of an image being drawn, where it computes only what is new and remembers the rest.
"""

from zoo.nn.causal.diagonal_bilstm import DiagonalBiLSTM
from zoo.nn.causal.gated_pixelcnn import GatedPixelCNN
from zoo.nn.causal.made import MADE
from zoo.nn.causal.pixelcnn import PixelCNN
from zoo.nn.causal.pixelcnnpp import PixelCNNpp, initialise
from zoo.nn.causal.plain import PlainPixelCNN
from zoo.nn.causal.row_lstm import RowLSTM
from zoo.nn.causal.wavenet import WaveNet

__all__ = [
    "MADE",
    "DiagonalBiLSTM",
    "GatedPixelCNN",
    "PixelCNN",
    "PixelCNNpp",
    "PlainPixelCNN",
    "RowLSTM",
    "WaveNet",
    "initialise",
]
