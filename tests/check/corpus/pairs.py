"""Files with two independent mistakes, put together from the singles."""

from . import table_lines, table_places, table_special  # noqa: F401
from .planting import CORPUS

PAIRS = (
    ("11_lstm_cell_for_previous", "10_lstm_forget_weight"),
    ("09_lstm_hidden", "06_lstm_sigmoid_for_tanh"),
    ("03_attention_query_scale", "08_attention_keys_share"),
    ("04_attention_values", "07_attention_diagonal"),
    ("05_layer_norm_gain_mean", "08_layer_norm_variance"),
    ("06_gru_reset_slope_forgotten", "11_gru_weights_pasted"),
    ("10_conv1d_kernel", "06_conv1d_no_square"),
    ("15_tied_fancy_plus", "01_tied_label"),
    ("14_dropout_not_applied", "06_dropout_pre_activation"),
    ("02_mse_two_forgotten", "05_mse_rows_for_columns"),
    ("10_rnn_bias", "11_rnn_state_index"),
    ("05_gelu_mlp_helper_mean", "02_gelu_mlp_cube"),
)

DOUBLES = CORPUS.doubles(PAIRS)
