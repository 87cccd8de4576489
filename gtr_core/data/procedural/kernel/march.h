// Constants and steps of sphere tracing that the CPU and the CUDA kernel share. Needs shape.h.
#pragma once

constexpr float HIT_DISTANCE = 2e-4f;  // world units
constexpr float BOX_MARGIN = 0.03f;  // a fine tip may reach out of the measured box
constexpr int MAX_STEPS = 320;

// Where a ray enters and leaves the object's box; begin > end when it misses.
template <class F> DEVICE void clip_to_box(const Scene& scene, const F (&o)[3], const F (&d)[3], F& begin, F& end) {
  begin = F(0.0f);
  end = F(FAR_AWAY);
  for (int i = 0; i < 3; ++i) {
    F safe = select(absolute(d[i]) < F(1e-9f), F(1e-9f), d[i]);
    F half = F(scene.extent[i] + BOX_MARGIN), a = (-half - o[i]) / safe, b = (half - o[i]) / safe;
    begin = maximum(begin, minimum(a, b));
    end = minimum(end, maximum(a, b));
  }
}

// Where the surface is from a point just before it: on the line through the last two samples of the distance when they
// are close together, else straight ahead.
template <class F> DEVICE F land(F t, F d, F last_t, F last_d) {
  F back = t - last_t, slope = select(back < F(0.01f), (last_d - d) / maximum(back, F(1e-9f)), F(1.0f));
  return t + clamp(d / maximum(slope, F(0.05f)), F(-4.0f * HIT_DISTANCE), F(4.0f * HIT_DISTANCE));
}
