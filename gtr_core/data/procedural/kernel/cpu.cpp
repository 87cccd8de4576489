// The CPU kernel: a C interface over rays and points of a batch of objects. Compiled after lanes.h, the records, shape.h,
// texture.h, surface.h and march.h. Arrays are dense float32, one block of `count` entries per object.
#include <vector>

typedef Vec3<Lanes> Point;

// Run `body(point, index of the first, number)` over points in packets; a last packet repeats its last point.
template <class Body> static void for_packets(const float* points, long count, Body body) {
  for (long first = 0; first < count; first += WIDTH) {
    int number = int(count - first < WIDTH ? count - first : WIDTH);
    Point p;
    for (int i = 0; i < WIDTH; ++i) {
      const float* source = points + 3 * (first + (i < number ? i : number - 1));
      p.x.v[i] = source[0], p.y.v[i] = source[1], p.z.v[i] = source[2];
    }
    body(p, first, number);
  }
}

static void store(float* target, const Point& p, long first, int number) {
  for (int i = 0; i < number; ++i) {
    float* t = target + 3 * (first + i);
    t[0] = p.x.v[i], t[1] = p.y.v[i], t[2] = p.z.v[i];
  }
}

// WIDTH rays under way; a ray that is done makes room for the next, so that no lane idles.
struct Packet {
  Point origin, direction;
  Lanes t, end, last_t, last_d;
  long ray[WIDTH];
  int steps[WIDTH];
};

static bool load_ray(const Scene& scene, const float* origins, const float* directions, long ray, Packet& w, int lane) {
  float begin = 0.0f, end = FAR_AWAY;
  const float *o = origins + 3 * ray, *d = directions + 3 * ray;
  for (int i = 0; i < 3; ++i) {
    float safe = std::fabs(d[i]) < 1e-9f ? 1e-9f : d[i], half = scene.extent[i] + BOX_MARGIN;
    float a = (-half - o[i]) / safe, b = (half - o[i]) / safe;
    begin = std::fmax(begin, std::fmin(a, b));
    end = std::fmin(end, std::fmax(a, b));
  }
  if (begin > end) return false;
  w.origin.x.v[lane] = o[0], w.origin.y.v[lane] = o[1], w.origin.z.v[lane] = o[2];
  w.direction.x.v[lane] = d[0], w.direction.y.v[lane] = d[1], w.direction.z.v[lane] = d[2];
  w.t.v[lane] = begin, w.end.v[lane] = end, w.last_t.v[lane] = begin - 1.0f, w.last_d.v[lane] = FAR_AWAY;
  w.ray[lane] = ray, w.steps[lane] = 0;
  return true;
}

static void march(const Scene& scene, const float* origins, const float* directions, long count, float* hit_t) {
  Packet w;
  long next = 0;
  int active = 0;
  for (int i = 0; i < WIDTH; ++i) w.ray[i] = -1;
  auto refill = [&](int lane) {
    w.ray[lane] = -1;
    while (next < count)
      if (load_ray(scene, origins, directions, next++, w, lane)) return true;
    return false;
  };
  Lanes nothing = 0.0f;
  w.origin = w.direction = Point{nothing, nothing, nothing};
  w.t = w.end = w.last_t = w.last_d = nothing;
  for (int i = 0; i < WIDTH; ++i) active += refill(i);
  while (active > 0) {
    Point p = {w.origin.x + w.direction.x * w.t, w.origin.y + w.direction.y * w.t, w.origin.z + w.direction.z * w.t};
    Lanes d = distance(scene, p), landing = land(w.t, d, w.last_t, w.last_d), forward = w.t + maximum(d, HIT_DISTANCE);
    Mask hit = d < Lanes(HIT_DISTANCE), done = hit | (forward > w.end);
    for (int i = 0; i < WIDTH; ++i) {
      if (w.ray[i] < 0) continue;
      if (!done.v[i] && ++w.steps[i] < MAX_STEPS) continue;
      if (hit.v[i]) hit_t[w.ray[i]] = std::fmax(landing.v[i], 1e-6f);
      w.end.v[i] = -FAR_AWAY;
      if (!refill(i)) --active;
      else forward.v[i] = w.t.v[i], d.v[i] = 1.0f, w.t.v[i] -= 1.0f;
    }
    w.last_t = w.t, w.last_d = d, w.t = forward;
  }
}

extern "C" {

// Signed distance (scene_count, count) in world units.
void gtr_distance(const Scene* scenes, long scene_count, const float* points, long count, float* out) {
  for (long s = 0; s < scene_count; ++s)
    for_packets(points + 3 * s * count, count, [&](const Point& p, long first, int number) {
      Lanes d = distance(scenes[s], p);
      for (int i = 0; i < number; ++i) out[s * count + first + i] = d.v[i];
    });
}

// Signed distance of one object in its own space, in double precision.
void gtr_object_distance(const Scene* scene, const double* points, long count, double* out) {
  for (long i = 0; i < count; ++i) {
    const double* p = points + 3 * i;
    out[i] = object_distance(*scene, Vec3<double>{p[0], p[1], p[2]}, static_cast<double*>(nullptr));
  }
}

// Unit normals and colours (scene_count, count, 3) at points of the surface; either may be null.
void gtr_surface(const Scene* scenes, long scene_count, const float* points, long count, float* normals, float* colors) {
  for (long s = 0; s < scene_count; ++s)
    for_packets(points + 3 * s * count, count, [&](const Point& p, long first, int number) {
      Point n = surface_normal(scenes[s], p);
      if (normals) store(normals + 3 * s * count, n, first, number);
      if (colors) store(colors + 3 * s * count, surface_color(scenes[s], p, n), first, number);
    });
}

// Distance along each ray to the surface, 0 where there is none, and normal and colour there (0 where there is none;
// either may be null).
void gtr_trace(const Scene* scenes, long scene_count, const float* origins, const float* directions, long count,
               float* hit_t, float* normals, float* colors) {
  std::vector<float> points, found;
  std::vector<long> rays;
  for (long s = 0; s < scene_count; ++s) {
    const float *o = origins + 3 * s * count, *d = directions + 3 * s * count;
    float* t = hit_t + s * count;
    for (long i = 0; i < count; ++i) t[i] = 0.0f;
    march(scenes[s], o, d, count, t);
    points.clear(), rays.clear();
    for (long i = 0; i < count; ++i)
      if (t[i] > 0.0f) {
        rays.push_back(i);
        for (int k = 0; k < 3; ++k) points.push_back(o[3 * i + k] + d[3 * i + k] * t[i]);
      }
    long hits = long(rays.size());
    found.resize(6 * hits);
    gtr_surface(scenes + s, 1, points.data(), normals || colors ? hits : 0, found.data(), colors ? found.data() + 3 * hits : nullptr);
    float* targets[2] = {normals, colors};
    for (int which = 0; which < 2; ++which) {
      if (!targets[which]) continue;
      float* target = targets[which] + 3 * s * count;
      for (long i = 0; i < 3 * count; ++i) target[i] = 0.0f;
      for (long i = 0; i < hits; ++i)
        for (int k = 0; k < 3; ++k) target[3 * rays[i] + k] = found[3 * hits * which + 3 * i + k];
    }
  }
}

}
