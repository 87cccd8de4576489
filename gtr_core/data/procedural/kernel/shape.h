// Signed distance of an object: negative inside, and never more than the true distance, so that a ray may step by it.
// Needs lanes.h or scalar.h and the records of layout.py. F: Lanes, float or double. Parameters become F before anything is
// computed with them, so that double precision is that all the way.
#pragma once

constexpr float FAR_AWAY = 1e6f;

template <class F> struct Vec3 { F x, y, z; };

template <class F> DEVICE F length2(F x, F y) { return root(x * x + y * y); }
template <class F> DEVICE F length3(Vec3<F> p) { return root(p.x * p.x + p.y * p.y + p.z * p.z); }
template <class F> DEVICE F clamp(F x, F low, F high) { return minimum(maximum(x, low), high); }

template <class F> DEVICE Vec3<F> rotate(const float (&rows)[3][3], Vec3<F> p) {
  return {p.x * rows[0][0] + p.y * rows[0][1] + p.z * rows[0][2],
          p.x * rows[1][0] + p.y * rows[1][1] + p.z * rows[1][2],
          p.x * rows[2][0] + p.y * rows[2][1] + p.z * rows[2][2]};
}
template <class F> DEVICE Vec3<F> rotate_back(const float (&rows)[3][3], Vec3<F> p) {
  return {p.x * rows[0][0] + p.y * rows[1][0] + p.z * rows[2][0],
          p.x * rows[0][1] + p.y * rows[1][1] + p.z * rows[2][1],
          p.x * rows[0][2] + p.y * rows[1][2] + p.z * rows[2][2]};
}

// Reflect the plane into one half of one of `count` equal sectors, the one that begins at angle 0. A reflection, not a
// rotation: the folded function stays continuous, so no step is too long.
template <class F> FUNCTION void fold_sector(int count, F& x, F& y) {
  F radius = length2(x, y), sector = F(6.283185307179586) / F(float(count)), angle = angle_of(y, x);
  angle = absolute(angle - sector * nearest(angle / sector));
  x = radius * cosine(angle);
  y = radius * sine(angle);
}

template <class F> DEVICE Vec3<F> fold(const Part& part, Vec3<F> p) {
  if (part.fold == FOLD_MIRROR_X || part.fold == FOLD_MIRROR_XZ) p.x = absolute(p.x);
  if (part.fold == FOLD_MIRROR_XZ) p.z = absolute(p.z);
  if (part.fold == FOLD_RADIAL) fold_sector(part.fold_count, p.x, p.z);
  return p;
}

// Polynomial smooth minimum: differs from the minimum only where |a - b| < k, and keeps the Lipschitz constant.
template <class F> DEVICE F smooth_minimum(F a, F b, float k) {
  if (k <= 0.0f) return minimum(a, b);
  F h = maximum(F(k) - absolute(a - b), F(0.0f)) / F(k);
  return minimum(a, b) - h * h * (0.25f * k);
}

template <class F> DEVICE F box2(F x, F y, F half_x, F half_y) {
  F dx = absolute(x) - half_x, dy = absolute(y) - half_y;
  return length2(maximum(dx, F(0.0f)), maximum(dy, F(0.0f))) + minimum(maximum(dx, dy), F(0.0f));
}
template <class F> DEVICE F box3(Vec3<F> p, F x, F y, F z) {
  F dx = absolute(p.x) - x, dy = absolute(p.y) - y, dz = absolute(p.z) - z, zero = F(0.0f);
  Vec3<F> outside = {maximum(dx, zero), maximum(dy, zero), maximum(dz, zero)};
  return length3(outside) + minimum(maximum(dx, maximum(dy, dz)), zero);
}

// Distance to the segment from (ax, ay) to (bx, by), negative on its left.
template <class F> DEVICE F edge_distance(F x, F y, F ax, F ay, F bx, F by) {
  F ex = bx - ax, ey = by - ay, px = x - ax, py = y - ay;
  F t = clamp((px * ex + py * ey) / (ex * ex + ey * ey), F(0.0f), F(1.0f));
  F d = length2(px - t * ex, py - t * ey);
  return select(ex * py - ey * px > F(0.0f), -d, d);
}

template <class F> FUNCTION F profile_distance(const Part& part, F x, F z) {
  F a = F(part.size[0]), c = F(part.size[2]), corner = F(part.profile_corner);
  int count = part.profile_count;
  if (part.profile == PROFILE_BOX) return box2(x, z, a - corner, c - corner) - corner;
  if (part.profile == PROFILE_CIRCLE) return length2(x, z) - a;
  if (part.profile == PROFILE_CROSS)
    return minimum(box2(x, z, a - corner, c - corner), box2(x, z, c - corner, a - corner)) - corner;
  fold_sector(count, x, z);
  F half_sector = F(3.141592653589793) / F(float(count)), cos_half = cosine(half_sector), sin_half = sine(half_sector);
  if (part.profile == PROFILE_POLYGON) {  // size[0]: distance of the sides from the centre
    F dx = x - (a - corner), dz = z - (a - corner) * sin_half / cos_half;
    return select(dz > F(0.0f), length2(dx, dz), dx) - corner;
  }
  if (part.profile == PROFILE_STAR)  // points at size[0], notches at size[2]
    return edge_distance(x, z, a - corner, F(0.0f), cos_half * (c - corner), sin_half * (c - corner)) - corner;
  // PROFILE_FLOWER: petals of radius size[2] that reach to size[0], on a disc
  return smooth_minimum(length2(x - (a - c), z) - c, length2(x, z) - (a - c), 0.5f * part.size[2]);
}

// An outline in the plane (distance d) extruded to height |y| < half, edges rounded.
template <class F> DEVICE F extrude(F d, F y, F half, F rounding) {
  F dx = d + rounding, dy = absolute(y) - (half - rounding), zero = F(0.0f);
  return minimum(maximum(dx, dy), zero) + length2(maximum(dx, zero), maximum(dy, zero)) - rounding;
}

template <class F> FUNCTION F extrusion(const Part& part, Vec3<F> q) {
  F half = F(part.size[1]), pipe = F(part.pipe), y = clamp(q.y, -half, half), x = q.x, z = q.z;
  if (part.twist != 0.0f) {
    F cos_turn = cosine(y * part.twist), sin_turn = sine(y * part.twist);
    x = q.x * cos_turn - q.z * sin_turn;
    z = q.x * sin_turn + q.z * cos_turn;
  }
  F wide = F(1.0f) + y * (F(part.taper) / half);
  F d = profile_distance(part, x / wide, z / wide) * wide;
  if (part.pipe > 0.0f) d = absolute(d + pipe) - pipe;
  return extrude(d, q.y, half, F(part.rounding));
}

template <class F> FUNCTION F superellipsoid(const Part& part, Vec3<F> q) {
  F x = F(part.size[0]), y = F(part.size[1]), z = F(part.size[2]);
  F around = F(part.exponents[0]), along = F(part.exponents[1]);
  F flat = power(absolute(q.x) / x, around) + power(absolute(q.z) / z, around);
  F norm = power(power(flat, along / around) + power(absolute(q.y) / y, along), F(1.0f) / along);
  return maximum((norm - F(1.0f)) * minimum(minimum(x, y), z), box3(q, x, y, z));
}

template <class F> FUNCTION F lathe(const Part& part, Vec3<F> q) {
  F half = F(part.size[1]), radius = F(part.radii[0]);
  F t = (clamp(q.y, -half, half) / half + 1.0f) * 0.5f * float(RADII - 1);
  for (int i = 0; i + 1 < RADII; ++i) {
    F f = clamp(t - float(i), F(0.0f), F(1.0f));
    if (part.smooth_radii) f = f * f * (F(3.0f) - f * 2.0f);
    radius = radius + f * (F(part.radii[i + 1]) - F(part.radii[i]));
  }
  return extrude(length2(q.x, q.z) - radius, q.y, half, F(part.rounding));
}

// Half a ring in the x-y plane (size[0]: its radius; x > 0), or all of it when profile_count is 2; tube size[1].
template <class F> FUNCTION F arch(const Part& part, Vec3<F> q) {
  F ring = length2(q.x, q.y) - F(part.size[0]);
  F end = length2(q.x, absolute(q.y) - F(part.size[0]));
  F flat = part.profile_count == 2 ? ring : select(q.x > F(0.0f), ring, end);
  return length2(flat, q.z) - F(part.size[1]);
}

template <class F> FUNCTION F box_cage(const Part& part, Vec3<F> q) {
  F e = F(part.pipe), x = F(part.size[0]), y = F(part.size[1]), z = F(part.size[2]);
  F ax = absolute(q.x), ay = absolute(q.y), az = absolute(q.z);
  F edge_x = box3(Vec3<F>{ax, ay - (y - e), az - (z - e)}, x, e, e);
  F edge_y = box3(Vec3<F>{ax - (x - e), ay, az - (z - e)}, e, y, e);
  F edge_z = box3(Vec3<F>{ax - (x - e), ay - (y - e), az}, e, e, z);
  return minimum(edge_x, minimum(edge_y, edge_z));
}

// Meridians (or upright bars) and rings around y; size[0]: radius, size[1]: half height of the barrel.
template <class F> FUNCTION F round_cage(const Part& part, Vec3<F> q) {
  bool globe = part.kind == KIND_GLOBE_CAGE;
  F bar = F(part.pipe), radius = F(part.size[0]) - bar, level = radius * 0.5f, level_radius = radius;
  if (globe) level_radius = radius * F(0.8660254037844386);
  else level = F(part.size[1]) - bar;
  F around = length2(q.x, q.z), height = absolute(q.y), x = q.x, z = q.z;
  F rings = minimum(length2(around - radius, height), length2(around - level_radius, height - level));
  fold_sector(part.profile_count, x, z);
  F over = maximum(height - level, F(0.0f));
  F upright = globe ? length2(length2(x, height) - radius, z) : length3(Vec3<F>{x - radius, over, z});
  return minimum(rings, upright) - bar;
}

template <class F> FUNCTION F wave_height(const Part& part, Vec3<F> q) {
  const float *f = part.wave_frequency, *s = part.wave_phase;
  if (part.wave == WAVE_RIBS) {
    F fade = minimum(length2(q.x, q.z) / F(s[0]), F(1.0f));
    return fade * sine(angle_of(q.z, q.x) * f[0]) * part.wave_amplitude;
  }
  F height = sine(q.x * f[0] + s[0]) * sine(q.y * f[1] + s[1]) * sine(q.z * f[2] + s[2]);
  if (part.wave == WAVE_RIDGED) height = F(1.0f) - absolute(height);
  return height * part.wave_amplitude;
}

template <class F> FUNCTION F primitive(const Part& part, Vec3<F> q) {
  switch (part.kind) {
    case KIND_EXTRUSION: return extrusion(part, q);
    case KIND_SUPERELLIPSOID: return superellipsoid(part, q);
    case KIND_LATHE: return lathe(part, q);
    case KIND_ARCH: return arch(part, q);
    case KIND_BOX_CAGE: return box_cage(part, q);
    default: return round_cage(part, q);
  }
}

// The point in the frame of the part's centre, not yet turned: its length bounds the distance.
template <class F> DEVICE Vec3<F> around_part(const Part& part, Vec3<F> p) {
  p = fold(part, p);
  return {p.x - part.position[0], p.y - part.position[1], p.z - part.position[2]};
}

template <class F> FUNCTION F part_distance(const Part& part, Vec3<F> around, F bound) {
  Vec3<F> q = rotate(part.rotation, around);
  F d = primitive(part, q);
  if (part.wave != WAVE_NONE) d = d - wave_height(part, q);
  d = d * part.step;
  if (part.cup > 0.0f) d = maximum(absolute(d + part.cup) - F(part.cup), q.y - part.cup_height);
  return maximum(d, bound);
}

template <class F> DEVICE Vec3<F> object_point(const Scene& scene, Vec3<F> p) {
  Vec3<F> q = rotate(scene.rotation, p);
  F scale = F(scene.scale);
  return {q.x / scale + scene.center[0], q.y / scale + scene.center[1], q.z / scale + scene.center[2]};
}

// Distance in the object's own space, and (where asked) the index of the part that the nearest surface belongs to.
template <class F> ONCE F object_distance(const Scene& scene, Vec3<F> p, F* owner) {
  F d = F(FAR_AWAY), best = F(FAR_AWAY);
  ROLLED for (int i = 0; i < scene.part_count; ++i) {
    const Part& part = scene.parts[i];
    Vec3<F> around = around_part(part, p);
    F bound = length3(around) - F(part.radius);
    typename Of<F>::M near = bound < d + part.blend;
    if (!in_any_lane(near)) continue;
    F one = part_distance(part, around, bound);
    if (owner) *owner = select(near & (one < best), F(float(i)), *owner);
    best = select(near, minimum(best, one), best);
    d = smooth_minimum(d, one, part.blend);
  }
  if (scene.shell > 0.0f) d = absolute(d + scene.shell) - F(scene.shell);
  ROLLED for (int i = 0; i < scene.cutter_count; ++i) {
    const Part& cutter = scene.cutters[i];
    Vec3<F> around = around_part(cutter, p);
    F bound = length3(around) - F(cutter.radius);
    if (!in_any_lane(bound < F(cutter.blend) - d)) continue;
    d = -smooth_minimum(-d, part_distance(cutter, around, bound), cutter.blend);
  }
  return d;
}

template <class F> DEVICE F distance(const Scene& scene, Vec3<F> p) {
  return object_distance(scene, object_point(scene, p), static_cast<F*>(nullptr)) * scene.scale;
}
