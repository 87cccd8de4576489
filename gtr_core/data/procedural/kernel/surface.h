// What is seen at a point of the surface: its normal and its colour under the object's baked light. Needs texture.h.
#pragma once

constexpr float NORMAL_STEP = 7e-4f;

// Gradient by four samples at the corners of a tetrahedron, in world space, of unit length.
template <class F> FUNCTION Vec3<F> surface_normal(const Scene& scene, Vec3<F> p) {
  Vec3<F> sum = {F(0.0f), F(0.0f), F(0.0f)};
  ROLLED for (int corner = 0; corner < 4; ++corner) {
    float x = corner == 0 || corner == 3 ? 1.0f : -1.0f, y = corner == 2 || corner == 3 ? 1.0f : -1.0f, z = x * y;
    F d = distance(scene, Vec3<F>{p.x + x * NORMAL_STEP, p.y + y * NORMAL_STEP, p.z + z * NORMAL_STEP});
    sum = {sum.x + d * x, sum.y + d * y, sum.z + d * z};
  }
  F inverse = F(1.0f) / maximum(length3(sum), F(1e-12f));
  return {sum.x * inverse, sum.y * inverse, sum.z * inverse};
}

// Share of the light that reaches a point past the object itself, from distances along the normal.
template <class F> FUNCTION F open_share(const Scene& scene, Vec3<F> p, Vec3<F> n) {
  F blocked = F(0.0f);
  float reach = 0.04f, weight = 0.4f;
  ROLLED for (int i = 0; i < 4; ++i) {
    F d = distance(scene, Vec3<F>{p.x + n.x * reach, p.y + n.y * reach, p.z + n.z * reach});
    blocked = blocked + clamp(F(1.0f) - d * (1.0f / reach), F(0.0f), F(1.0f)) * weight;
    reach *= 1.9f;
    weight *= 0.7f;
  }
  return F(1.0f) - minimum(blocked * scene.occlusion, F(0.9f));
}

template <class F> FUNCTION Vec3<F> albedo(const Scene& scene, Vec3<F> p) {
  Vec3<F> object = object_point(scene, p), color = {F(0.5f), F(0.5f), F(0.5f)};
  F owner = F(0.0f);
  object_distance(scene, object, &owner);
  ROLLED for (int i = 0; i < scene.part_count; ++i) {
    typename Of<F>::M own = absolute(owner - float(i)) < F(0.5f);
    if (!in_any_lane(own)) continue;
    const Part& part = scene.parts[i];
    Vec3<F> c = part_color(part, rotate(part.rotation, around_part(part, object)));
    color = {select(own, c.x, color.x), select(own, c.y, color.y), select(own, c.z, color.z)};
  }
  return color;
}

template <class F> FUNCTION Vec3<F> surface_color(const Scene& scene, Vec3<F> p, Vec3<F> n) {
  Vec3<F> c = albedo(scene, p);
  if (!scene.lit) return c;
  const float* k = scene.key_direction;
  F up = n.y * 0.5f + 0.5f, facing = maximum(n.x * k[0] + n.y * k[1] + n.z * k[2], F(0.0f));
  F open = open_share(scene, p, n);
  F channel[3] = {c.x, c.y, c.z};
  for (int i = 0; i < 3; ++i) {
    F light = (F(scene.ambient[i]) + up * scene.sky[i]) * open + facing * scene.key[i] * (open * 0.5f + 0.5f);
    channel[i] = clamp(channel[i] * light, F(0.0f), F(1.0f));
  }
  return {channel[0], channel[1], channel[2]};
}
