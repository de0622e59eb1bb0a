"""A training step of GPT-2 124M in PyTorch (compiled, bf16, fused AdamW, its own attention), for make test-gpu."""
import sys
import time
import traceback

import torch
import torch.nn as nn
import torch.nn.functional as F

LAYERS, HEADS, WIDTH, VOCAB, CONTEXT = 12, 12, 768, 50304, 1024


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc, self.fcproj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        batch, time_, _ = x.shape
        q, k, v = (t.view(batch, time_, HEADS, -1).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(WIDTH, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(batch, time_, WIDTH))
        return x + self.fcproj(F.gelu(self.fc(self.norm2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks, self.norm = nn.ModuleList(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH)

    def forward(self, inputs, targets):
        x = self.wte(inputs) + self.wpe(torch.arange(inputs.shape[1], device=inputs.device))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.wte.weight)
        return F.cross_entropy(logits.view(-1, VOCAB), targets.view(-1))


def median_step(batch, compiled):
    torch.set_float32_matmul_precision("high")
    model = Model().cuda()
    model = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    inputs, targets = (torch.randint(0, 50257, (batch, CONTEXT), device="cuda") for _ in range(2))
    seconds = []
    for i in range(25):
        torch.cuda.synchronize()
        start = time.monotonic()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        torch.cuda.synchronize()
        if i >= 5:
            seconds.append(time.monotonic() - start)
    return sorted(seconds)[len(seconds) // 2]


def main():
    batch, compiled = 64, True
    while batch:
        try:
            seconds = median_step(batch, compiled)
            break
        except torch.cuda.OutOfMemoryError:
            batch //= 2
        except Exception:  # the compiler wants a C compiler, Python's headers and Triton: a bare machine may lack them
            traceback.print_exc()
            if not compiled:
                print("skip: it failed")
                sys.exit(77)
            compiled = False
        torch.cuda.empty_cache()
    print("row|PyTorch %s%s, B = %d, T = 1024, bf16|%.1f ms, %.0f tokens/s|" %
          (torch.__version__, ", compiled" if compiled else "", batch, seconds * 1e3, batch * CONTEXT / seconds))


main()
