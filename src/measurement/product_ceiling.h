#pragma once

#include "config/config.h"
#include "measurement/device_meter.h"

namespace zebra {

/// FLOP/s of the quickest of several square matrix products of the precision's type on the device:
/// what training could reach at most with the products that it calls (ops/linear.h).
double measure_product_ceiling(Precision precision, const DeviceMeter& meter);

}  // namespace zebra
