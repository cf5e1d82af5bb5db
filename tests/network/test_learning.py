import torch
from torch.nn import functional as F

from effnet.network.model import create_model
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale


def test_a_small_network_learns_32_random_images_by_heart() -> None:
    torch.manual_seed(0)
    # Momentum 0.5: the running statistics follow in the few steps that learning takes.
    model = create_model(scale(B0_CIFAR, -6), 10, bn_momentum=0.5)
    images, labels = torch.randn(32, 3, 16, 16), torch.randint(10, (32,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    model.train()
    for _ in range(20):  # 15 sufficed for 8 seeds of 8
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    with torch.inference_mode():
        top1 = (model.eval()(images).argmax(1) == labels).float().mean()
    assert top1 == 1.0
