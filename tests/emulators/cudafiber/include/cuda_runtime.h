// Stands where CUDA's header stands when g++ compiles the kernels: `g++ -std=c++17 -I .../cudafiber/include -x c++
// a.cu`.
#pragma once

#include "cudafiber/alignment.h"
#include "cudafiber/barrier.h"
#include "cudafiber/intrinsics.h"
#include "cudafiber/language.h"
#include "cudafiber/runtime_api.h"
#include "cudafiber/warp.h"
