#include "tapegrad_net.h"

#include <cstdint>
#include <utility>

#include <tapegrad/tapegrad.h>

namespace tapegrad::bench {

nn::Dataset dataset_of(const NetTask& task, const Items& items) {
  const bool images = !task.convolutions.empty();
  const ImageSize image = images ? task.image : ImageSize{1, 1};
  const std::int64_t side = image.side;
  if (items.bytes())
    return {nn::IdxArray{images ? Shape{items.count, side, side} : Shape{items.count, items.width, 1},
                         items.pixels},
            nn::IdxArray{{items.count}, items.labels},
            {.flatten = !images}};
  return {Tensor::from(items.inputs, images ? Shape{items.count, image.channels, side, side}
                                            : Shape{items.count, items.width}),
          Tensor::from(items.targets, {items.count, items.target_width})};
}

nn::Sequential network_of(const NetTask& task) {
  nn::Sequential net;
  Generator unused(0);
  for (std::size_t i = 0; i < task.convolutions.size(); ++i) {
    const ConvLayer& c = task.convolutions[i];
    const std::int64_t in = task.image_at(i).channels;
    nn::Conv2d layer(in, c.channels, c.kernel, unused, {.padding = c.padding});
    layer.weight().assign(Tensor::from(task.weights[i], {c.channels, in, c.kernel, c.kernel}));
    net.append(std::move(layer)).append(nn::Relu());
    if (c.pool) net.append(nn::MaxPool2d(2));
  }
  if (!task.convolutions.empty()) net.append(nn::Flatten());
  for (std::size_t i = 0; i < task.layers(); ++i) {
    const std::int64_t in = task.widths[i];
    const std::int64_t out = task.widths[i + 1];
    net.append(nn::Affine(Parameter(Tensor::from(task.affine_weights(i), {in, out})),
                          Parameter(Tensor::zeros({out}))));
    if (i + 1 == task.layers()) break;
    if (task.batch_norm) net.append(nn::BatchNorm(out));
    net.append(nn::Relu());
  }
  return net;
}

std::unique_ptr<optim::Optimizer> optimizer_of(const NetTask& task, nn::Sequential& net) {
  return optim::make_optimizer(task.rule == Rule::adam ? "adam" : "sgd", net, task.lr);
}

}  // namespace tapegrad::bench
