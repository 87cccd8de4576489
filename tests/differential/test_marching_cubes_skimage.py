"""Marching cubes against scikit-image: the same crossings, the same number of faces."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from gtr_core.geometry.marching_cubes import marching_cubes

measure = pytest.importorskip("skimage.measure")


@pytest.mark.parametrize("seed", range(3))
def test_vertices_are_those_of_lorensen(seed):
    values = torch.randn(20, 20, 20, generator=torch.Generator().manual_seed(seed))
    padded = torch.nn.functional.pad(values, (1,) * 6, value=1.0)
    ours = marching_cubes(values)[0].numpy()
    theirs, *_ = measure.marching_cubes(padded.numpy(), 0.0, method="lorensen")
    theirs = np.unique((theirs - 1) / 19 * 2 - 1, axis=0)
    assert ours.shape == theirs.shape
    distance = np.concatenate([cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]])
    assert distance.max() < 5e-6
