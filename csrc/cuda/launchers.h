// The kernels' doors: raw pointers to contiguous tensors on the current device, sizes, a stream. Letters as in
// seq2seq_fast/ops/schemas.py; dtype is a Dtype (storage.h); a null pointer is a tensor that is not there.
#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

namespace seq2seq_fast {

// Queries are query_distance elements apart. Positions of a source that one block takes; attend_forward needs (2 + D) B
// Tq floats of `partial` for each chunk, none where one chunk holds all positions. A block takes four queries, or one
// where four need more than most_shared_bytes of shared memory.
int64_t attention_chunk(int64_t batch, int64_t queries, int64_t positions, int multiprocessors);

cudaError_t attend_forward(int dtype, const void* query, const void* keys, const void* values,
                           const float* exponentials, const bool* in_range, const void* v, const int64_t* lengths,
                           const bool* mask, void* context, float* weights, float* logsumexp, float* partial,
                           int64_t query_distance, int64_t batch, int64_t queries, int64_t positions, int64_t units,
                           int64_t size, int64_t chunk, int64_t most_shared_bytes, cudaStream_t stream);

// grad_weights [B, Tq, Tx] = grad_context values^T + through_weights.
cudaError_t attend_backward_weights(int dtype, const void* grad_context, const void* values,
                                    const float* through_weights, float* grad_weights, int64_t batch, int64_t queries,
                                    int64_t positions, int64_t size, int64_t chunk, int64_t most_shared_bytes,
                                    cudaStream_t stream);

// The gradient of the scores in place of that of the weights. With logsumexp, `weights` holds the scores at first.
cudaError_t attend_backward_softmax(float* weights, float* grads, const float* logsumexp, const int64_t* lengths,
                                    const bool* mask, int64_t batch, int64_t queries, int64_t positions,
                                    cudaStream_t stream);

// grad_values [B, Tx, D] = weights^T grad_context.
cudaError_t attend_backward_values(int dtype, const void* grad_context, const float* weights, void* grad_values,
                                   int64_t batch, int64_t queries, int64_t positions, int64_t size,
                                   cudaStream_t stream);

// exponentials [B, elements] of keys [B, elements]; part_in_range [B, key_exponentials_parts(elements)].
int64_t key_exponentials_parts(int64_t elements);
cudaError_t key_exponentials(int dtype, const void* keys, float* exponentials, bool* part_in_range, int64_t batch,
                             int64_t elements, cudaStream_t stream);

// scores [B, Tq, Tx] in the inputs' dtype, or for_softmax in float without their constant sum(v).
cudaError_t additive_score_forward(int dtype, const void* query, const void* keys, const float* exponentials,
                                   const bool* in_range, const void* v, void* scores, bool for_softmax, int64_t batch,
                                   int64_t queries, int64_t positions, int64_t units, int64_t chunk,
                                   int64_t most_shared_bytes, cudaStream_t stream);

// How the gradients of a score come in parts that the caller adds up: [splits, B, N, A] and [rows_of_v, A].
struct ScoreBackwardPlan {
  int64_t splits, rows_of_v;
};
ScoreBackwardPlan score_backward_plan(int dtype, int64_t batch, int64_t rows, int64_t others, int64_t units,
                                      bool all_aligned, int multiprocessors);

// own [B, N, A] is the queries and other [B, M, A] the keys, or the other way round; grad has these strides. Gives
// grad_own, or partial where it is split, and partial_v where it is asked for.
cudaError_t additive_score_backward(int dtype, const void* own, const void* other, const void* v, const float* grad,
                                    int64_t batch_stride, int64_t own_stride, int64_t other_stride, void* grad_own,
                                    float* partial, float* partial_v, int64_t batch, int64_t rows, int64_t others,
                                    int64_t units, int64_t splits, bool all_aligned, cudaStream_t stream);

// Cells after their matrix products: gates [rows, G H] and states [rows, H] with a distance between rows; results are
// contiguous, but for the rows of activations. state_dtype is dtype, or float32 in a recurrence that carries it;
// activations are [rows, G H] floats.
cudaError_t gru_gates_forward(int dtype, int state_dtype, const void* gates_input, int64_t input_stride,
                              const void* gates_hidden, int64_t hidden_gates_stride, const void* hidden,
                              int64_t hidden_stride, void* new_hidden, float* activations, int64_t activations_stride,
                              int64_t rows, int64_t size, cudaStream_t stream);
cudaError_t gru_gates_backward(int dtype, int state_dtype, const void* grad_hidden, int64_t grad_stride,
                               const void* gates_hidden, int64_t hidden_gates_stride, const void* hidden,
                               int64_t hidden_stride, const float* activations, int64_t activations_stride,
                               void* grad_gates_input, void* grad_gates_hidden, void* grad_previous, int64_t rows,
                               int64_t size, cudaStream_t stream);
cudaError_t gru_reset_forward(int dtype, int state_dtype, const void* gates_input, int64_t input_stride,
                              const void* gates_hidden, int64_t hidden_gates_stride, const void* hidden,
                              int64_t hidden_stride, void* reset_and_z, float* activations, int64_t activations_stride,
                              int64_t rows, int64_t size, cudaStream_t stream);
cudaError_t gru_reset_backward(int state_dtype, const void* grad, int64_t grad_stride, const void* hidden,
                               int64_t hidden_stride, const float* activations, int64_t activations_stride,
                               void* grad_gates, void* grad_hidden, int64_t rows, int64_t size, cudaStream_t stream);
cudaError_t gru_update_forward(int dtype, int state_dtype, const void* candidate_input, int64_t input_stride,
                               const void* candidate_hidden, int64_t candidate_stride, const void* z, int64_t z_stride,
                               const void* hidden, int64_t hidden_stride, void* new_hidden, float* activations,
                               int64_t activations_stride, int64_t rows, int64_t size, cudaStream_t stream);
cudaError_t gru_update_backward(int state_dtype, const void* grad_hidden, int64_t grad_stride, const void* z,
                                int64_t z_stride, const void* hidden, int64_t hidden_stride, const float* activations,
                                int64_t activations_stride, void* grad_candidate, void* grad_z, void* grad_previous,
                                int64_t rows, int64_t size, cudaStream_t stream);
cudaError_t lstm_gates_forward(int dtype, int state_dtype, const void* gates_input, int64_t input_stride,
                               const void* gates_hidden, int64_t hidden_gates_stride, const void* cell,
                               int64_t cell_stride, void* new_hidden, void* new_cell, float* activations, int64_t rows,
                               int64_t size, cudaStream_t stream);
cudaError_t lstm_gates_backward(int state_dtype, const void* grad_hidden, int64_t grad_hidden_stride,
                                const void* grad_cell, int64_t grad_cell_stride, const void* cell, int64_t cell_stride,
                                const void* new_cell, int64_t new_cell_stride, const float* activations,
                                void* grad_gates, void* grad_previous, int64_t rows, int64_t size, cudaStream_t stream);

// The decoder's recurrence in one cooperative launch of `blocks` blocks: an LSTM with four gates, with three a GRU
// whose reset gate works after the product, with one a plain recurrent cell. stacked [A + G H, H] are the query's rows,
// then the gates' rows that read the state; bias [A + G H] goes with them. gates_input [Ty, B, G H] is what the inputs
// give the gates, projected [B, Tx, G H] the values times the context's weights. state and states are float or of the
// dtype. Written: states [Ty, B, H], weights [Ty, B, Tx], queries [Ty, B, A], activations [Ty, B, 4 H] (of an
// RNN its states before they are rounded, [Ty, B, H]), for an LSTM cells [Ty, B, H]. Needed: recurrent [B, G H], and
// exchanged [round_up(B, 16), decoder_stride], zero at first. A and H are multiples of 8. rows, slices and
// keys_resident come from a plan, which also says whether decoder_shared_bytes fit.
int64_t decoder_stride(int dtype, int64_t hidden);
int64_t decoder_shared_bytes(int dtype, int64_t batch, int64_t positions, int64_t units, int64_t hidden, int64_t gates,
                             int rows, int slices, bool keys_resident);
cudaError_t attention_decoder_forward(int dtype, bool state_is_float, const void* keys, const float* exponentials,
                                      const bool* in_range, const int64_t* lengths, const bool* mask,
                                      const void* stacked, const float* bias, const void* v, const void* gates_input,
                                      const void* projected, const float* state_mask, const float* cell,
                                      const void* state, void* states, float* weights, float* queries, float* cells,
                                      float* activations, float* recurrent, void* exchanged, int64_t batch,
                                      int64_t target, int64_t positions, int64_t units, int64_t hidden, int64_t gates,
                                      int blocks, int rows, int slices, bool keys_resident, cudaStream_t stream);

// The reversed recurrence in one cooperative launch. transposed [H, A + G H] are the stacked weights; projected as
// above. grad_states [Ty, B, H] and grad_weights [Ty, B, Tx] are all that reaches states and weights from outside the
// recurrence. previous [Ty, B, H] are a GRU's states before each step, masked, or an LSTM's cells; cells an LSTM's new
// cells. Written: grad_gates [Ty, B, G H], grad_scores [Ty, B, Tx], and grad_product [Ty, round_up(B, 16),
// reversed_decoder_stride], zero at first, of queries and of what the gates read of the state. partial [parts, B, H],
// zero at first, and a GRU's through [B, H], zero at first, add up to the initial state's gradient before its mask; an
// LSTM's through is its final cell's gradient, then its initial cell's.
int64_t reversed_decoder_stride(int dtype, int64_t units, int64_t hidden, int64_t gates, int parts);
int64_t reversed_decoder_shared_bytes(int dtype, int64_t batch, int64_t positions, int64_t units, int64_t hidden,
                                      int64_t gates, int rows, int parts, bool keys_resident);
cudaError_t attention_decoder_backward(int dtype, const void* keys, const int64_t* lengths, const bool* mask,
                                       const void* transposed, const void* v, const void* projected,
                                       const float* state_mask, const float* grad_states, const float* grad_weights,
                                       const float* previous, const float* cells, const float* activations,
                                       const float* weights, const float* queries, float* grad_gates,
                                       float* grad_scores, void* grad_product, float* partial, float* through,
                                       int64_t batch, int64_t target, int64_t positions, int64_t units, int64_t hidden,
                                       int64_t gates, int blocks, int rows, int parts, bool keys_resident,
                                       cudaStream_t stream);

// What a plan asks of the current device; an error where the driver is too old, or nothing was compiled for it.
struct DeviceLimits {
  int multiprocessors, shared_bytes_per_block, cooperative;
};
cudaError_t device_limits(DeviceLimits* limits);

}  // namespace seq2seq_fast
