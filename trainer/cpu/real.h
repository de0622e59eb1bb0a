/* The type in which trainer/cpu/ computes: float, or double where a test includes the sources with GX_REAL_DOUBLE
 * defined, for gradients against finite differences. The double build has its own names, so both link together. */
#ifndef GX_TRAINER_REAL_H
#define GX_TRAINER_REAL_H

#ifdef GX_REAL_DOUBLE
typedef double real;
#define gx_gemm gx_gemm_f64
#define gx_linear_forward gx_linear_forward_f64
#define gx_linear_backward gx_linear_backward_f64
#define gx_layernorm_forward gx_layernorm_forward_f64
#define gx_layernorm_backward gx_layernorm_backward_f64
#define gx_gelu_forward gx_gelu_forward_f64
#define gx_gelu_backward gx_gelu_backward_f64
#define gx_embedding_forward gx_embedding_forward_f64
#define gx_embedding_backward gx_embedding_backward_f64
#define gx_crossentropy_forward gx_crossentropy_forward_f64
#define gx_crossentropy_backward gx_crossentropy_backward_f64
#define gx_attention_forward gx_attention_forward_f64
#define gx_attention_backward gx_attention_backward_f64
#define gx_gpt2_activations_create gx_gpt2_activations_create_f64
#define gx_gpt2_activations_destroy gx_gpt2_activations_destroy_f64
#define gx_gpt2_forward gx_gpt2_forward_f64
#define gx_gpt2_loss gx_gpt2_loss_f64
#define gx_gpt2_backward gx_gpt2_backward_f64
#else
typedef float real;
#endif

#endif
