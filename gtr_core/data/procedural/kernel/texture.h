// Colour of a part at a point of its frame: two layers of patterns and a printed label. Needs shape.h and FONT.
#pragma once

template <class F> DEVICE F mix(F a, F b, F t) { return a + (b - a) * t; }
template <class F> DEVICE Vec3<F> mix_color(Vec3<F> a, Vec3<F> b, F t) {
  return {mix(a.x, b.x, t), mix(a.y, b.y, t), mix(a.z, b.z, t)};
}
template <class F> DEVICE Vec3<F> color_of(const float (&c)[3]) { return {F(c[0]), F(c[1]), F(c[2])}; }
template <class F> DEVICE F fraction(F x) { return x - floor_of(x); }
template <class F> DEVICE F where(typename Of<F>::M m) { return select(m, F(1.0f), F(0.0f)); }

// Hash of a lattice point (whole numbers) to 32 well mixed bits.
template <class F> DEVICE typename Of<F>::U hash(F x, F y, F z, int seed) {
  typedef typename Of<F>::U U;
  U h = bits_of(x) * U(0x9e3779b1u) ^ bits_of(y) * U(0x85ebca77u) ^ bits_of(z) * U(0xc2b2ae3du);
  h = h ^ U(unsigned(seed));
  h = (h ^ (h >> 16)) * U(0x7feb352du);
  h = (h ^ (h >> 15)) * U(0x846ca68bu);
  return h ^ (h >> 16);
}

template <class F> ONCE F value_noise(F x, F y, F z, int seed) {
  F ix = floor_of(x), iy = floor_of(y), iz = floor_of(z), fx = x - ix, fy = y - iy, fz = z - iz;
  fx = fx * fx * (F(3.0f) - fx * 2.0f);
  fy = fy * fy * (F(3.0f) - fy * 2.0f);
  fz = fz * fz * (F(3.0f) - fz * 2.0f);
  F plane[2];
  for (int k = 0; k < 2; ++k) {
    F lz = iz + float(k);
    F low = mix(unit_of(hash(ix, iy, lz, seed)), unit_of(hash(ix + 1.0f, iy, lz, seed)), fx);
    F high = mix(unit_of(hash(ix, iy + 1.0f, lz, seed)), unit_of(hash(ix + 1.0f, iy + 1.0f, lz, seed)), fx);
    plane[k] = mix(low, high, fy);
  }
  return mix(plane[0], plane[1], fz);
}

template <class F> FUNCTION F fractal_noise(F x, F y, F z, int seed) {
  F sum = F(0.0f);
  float weight = 0.5f, frequency = 1.0f;
  ROLLED for (int octave = 0; octave < 4; ++octave) {
    sum = sum + value_noise(x * frequency, y * frequency, z * frequency, seed + octave) * weight;
    weight *= 0.5f;
    frequency *= 2.03f;
  }
  return sum * (1.0f / 0.9375f);
}

// amount < 0.5: a tint per cell; else the seams between cells.
template <class F> FUNCTION F voronoi(const Layer& layer, F x, F y, F z) {
  F ix = floor_of(x), iy = floor_of(y), iz = floor_of(z), first = F(9.0f), second = F(9.0f), tint = F(0.0f);
  ROLLED for (int k = 0; k < 27; ++k) {
    F cx = ix + float(k % 3 - 1), cy = iy + float(k / 3 % 3 - 1), cz = iz + float(k / 9 - 1);
    F dx = cx + unit_of(hash(cx, cy, cz, layer.seed)) - x, dy = cy + unit_of(hash(cx, cy, cz, layer.seed + 1)) - y;
    F dz = cz + unit_of(hash(cx, cy, cz, layer.seed + 2)) - z;
    F d = root(dx * dx + dy * dy + dz * dz);
    tint = select(d < first, unit_of(hash(cx, cy, cz, layer.seed + 3)), tint);
    second = minimum(second, maximum(first, d));
    first = minimum(first, d);
  }
  return layer.amount < 0.5f ? tint : where<F>(second - first < F(0.12f));
}

template <class F> FUNCTION F wood(const Layer& layer, F x, F y, F z) {
  F bend = value_noise(x * 0.7f, y * 0.25f, z * 0.7f, layer.seed) * (0.4f + layer.amount);
  F ring = fraction(length2(x, z) + bend);
  F fibre = value_noise(x * 9.0f, y * 0.6f, z * 9.0f, layer.seed + 1);
  return clamp(ring * ring * 0.75f + fibre * 0.35f, F(0.0f), F(1.0f));
}

template <class F> FUNCTION F brick(const Layer& layer, F u, F v) {
  F row = floor_of(v * 2.0f), along = u + fraction(row * 0.5f);
  F tint = unit_of(hash(floor_of(along), row, F(0.0f), layer.seed)) * 0.45f;
  float mortar = 0.04f + 0.08f * layer.amount;
  return select((fraction(along) < F(mortar)) | (fraction(v * 2.0f) < F(2.0f * mortar)), F(1.0f), tint);
}

template <class F> DEVICE F letter_pixel(F glyph, F column, F row) {
  F c = clamp(column, F(0.0f), F(4.0f)), r = clamp(row, F(0.0f), F(6.0f));
  F ink = look_up(FONT, bits_of(glyph * 35.0f + r * 5.0f + c));
  return select((absolute(c - column) > F(0.5f)) | (absolute(r - row) > F(0.5f)), F(0.0f), ink);
}

// Lines of words in pixels of the font, x to the right and y down: 6 x 10 pixels a letter, corners rounded.
template <class F> ONCE F text(F x, F y, int seed) {
  F line = floor_of(y * 0.1f), letter = floor_of(x * (1.0f / 6.0f));
  F column = x - letter * 6.0f - 0.5f, row = y - line * 10.0f - 1.5f;
  F chance = unit_of(hash(letter, line, F(0.0f), seed));
  F glyph = floor_of(unit_of(hash(letter, line, F(1.0f), seed)) * float(GLYPHS));
  F c = floor_of(column), r = floor_of(row), fc = column - c, fr = row - r;
  F top = mix(letter_pixel(glyph, c, r), letter_pixel(glyph, c + 1.0f, r), fc);
  F low = mix(letter_pixel(glyph, c, r + 1.0f), letter_pixel(glyph, c + 1.0f, r + 1.0f), fc);
  return where<F>((mix(top, low, fr) > F(0.5f)) & (chance > F(0.18f)));
}

template <class F> FUNCTION F pattern_value(const Layer& layer, F u, F v, Vec3<F> p) {
  switch (layer.pattern) {
    case PATTERN_STRIPES: return where<F>(fraction(u) < F(0.15f + 0.7f * layer.amount));
    case PATTERN_CHECKS: return where<F>(fraction((floor_of(u) + floor_of(v)) * 0.5f) > F(0.25f));
    case PATTERN_VORONOI: return voronoi(layer, p.x, p.y, p.z);
    case PATTERN_MARBLE: {
      F bend = fractal_noise(p.x, p.y, p.z, layer.seed) * 9.0f;
      return power(sine(p.x * 2.0f + p.y + bend) * 0.5f + 0.5f, 0.7f + 4.0f * layer.amount);
    }
    case PATTERN_WOOD: return wood(layer, p.x, p.y, p.z);
    case PATTERN_NOISE: {
      F noise = fractal_noise(p.x, p.y, p.z, layer.seed);
      return clamp((noise - 0.5f) * (1.5f + 4.0f * layer.amount) + 0.5f, F(0.0f), F(1.0f));
    }
    case PATTERN_DOTS: {
      F row = floor_of(v), dx = fraction(u + fraction(row * 0.5f)) - 0.5f, dy = fraction(v) - 0.5f;
      return where<F>(length2(dx, dy) < F(0.14f + 0.3f * layer.amount));
    }
    case PATTERN_BRICK: return brick(layer, u, v);
    case PATTERN_TEXT: return text(u * 10.0f, v * -10.0f, layer.seed);
    case PATTERN_PRINT: return where<F>(value_noise(u, v, F(0.5f), layer.seed) > F(0.72f - 0.3f * layer.amount));
    default: return F(0.0f);
  }
}

template <class F> ONCE Vec3<F> paint_layer(const Layer& layer, F u, F v, Vec3<F> q, Vec3<F> under) {
  F tu = (u * layer.turn[0] - v * layer.turn[1]) * layer.frequency + layer.shift[0];
  F tv = (u * layer.turn[1] + v * layer.turn[0]) * layer.frequency + layer.shift[1];
  Vec3<F> p = {q.x * layer.frequency + layer.shift[0], q.y * layer.frequency + layer.shift[1],
               q.z * layer.frequency + layer.shift[2]};
  F value = pattern_value(layer, tu, tv, p);
  Vec3<F> b = color_of<F>(layer.color_b);
  if (layer.through > 0.0f) return mix_color(under, b, value * layer.opacity);
  return mix_color(under, mix_color(color_of<F>(layer.color_a), b, value), F(layer.opacity));
}

// A sheet of paper with a coloured band and lines of text, on the front of the part.
template <class F> FUNCTION Vec3<F> paint_label(const Label& label, F u, F v, typename Of<F>::M front, Vec3<F> under) {
  F x = u - label.center[0], y = v - label.center[1];
  F margin = F(label.letter * 4.0f), inset_x = F(label.half[0]) - absolute(x), inset_y = F(label.half[1]) - absolute(y);
  F inset = minimum(inset_x, inset_y);
  F ink = text((x + label.half[0]) * (1.0f / label.letter), (F(label.half[1]) - y) * (1.0f / label.letter), label.seed);
  Vec3<F> sheet = mix_color(color_of<F>(label.paper), color_of<F>(label.ink), select(inset > margin, ink, F(0.0f)));
  sheet = mix_color(sheet, color_of<F>(label.band), where<F>(F(0.45f * label.half[1]) < y));
  return mix_color(under, sheet, where<F>(front & (inset > F(0.0f))));
}

template <class F> FUNCTION Vec3<F> part_color(const Part& part, Vec3<F> q) {
  F u, v;
  typename Of<F>::M front;
  if (part.projection == PROJECTION_CYLINDER) {
    typename Of<F>::M cap = absolute(q.y) > F(0.985f * part.extent[1]);
    u = select(cap, q.x, angle_of(q.x, q.z) * part.extent[0]);
    v = select(cap, -q.z, q.y);
    front = !cap;
  } else {
    F ax = absolute(q.x) * (1.0f / part.extent[0]), ay = absolute(q.y) * (1.0f / part.extent[1]);
    F az = absolute(q.z) * (1.0f / part.extent[2]);
    typename Of<F>::M side = (ax > az) & (ax > ay), top = (ay > az) & !(ax > ay);
    u = select(side, select(q.x < F(0.0f), q.z, -q.z), select(!top & (q.z < F(0.0f)), -q.x, q.x));
    v = select(top, select(q.y < F(0.0f), q.z, -q.z), q.y);
    front = !side & !top & (q.z > F(0.0f));
  }
  Vec3<F> color = paint_layer(part.layers[0], u, v, q, color_of<F>(part.layers[0].color_a));
  ROLLED for (int i = 1; i < LAYERS; ++i)
    if (part.layers[i].opacity > 0.0f) color = paint_layer(part.layers[i], u, v, q, color);
  if (part.label.half[0] > 0.0f) color = paint_label(part.label, u, v, front, color);
  return color;
}
