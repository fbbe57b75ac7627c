"""Weights and images as bytes and as PNG."""

import io

import numpy as np
from PIL import Image

from sparse_autoencoder import pngs


def test_features_are_red_where_positive_and_blue_where_negative():
    weights = np.zeros((4, 3))
    weights[0], weights[3] = 5.0, -5.0
    picture = Image.open(io.BytesIO(pngs.features_png(weights, 2, (2, 2), scale=2)))
    assert picture.size == (10, 10)  # two tiles and the gap between them, twice as large
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    red, blue, nothing = pixels[0, 0], pixels[3, 3], pixels[0, 3]
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 30 and nothing.min() > 240


def test_images_are_gray_and_what_lies_outside_is_cut_off():
    picture = Image.open(io.BytesIO(pngs.images_png(np.array([[0, 1, 2, -1.0]]), 1, (2, 2))))
    assert np.asarray(picture).tolist() == [[0, 255], [255, 0]]
    assert pngs.gray_bytes(np.array([0.5, 0.501])).tolist() == [128, 128]


def test_each_feature_has_its_own_scale():
    features, scales = pngs.feature_bytes(np.array([[0.5, -1, 2], [0, 0, 0]]))
    assert features.tolist() == [[160, 64, 255], [128, 128, 128]] and scales.tolist() == [2, 0]
