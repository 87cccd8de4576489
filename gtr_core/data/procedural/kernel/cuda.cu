// The CUDA kernels: one thread per ray or point, blockIdx.y = the object, whose record the block keeps in shared memory.
// Compiled after scalar.h, the records, shape.h, texture.h, surface.h and march.h. Arrays as in cpu.cpp.

typedef Vec3<float> Point;

DEVICE const Scene& shared_scene(const Scene* scenes, int* shared) {
  const int* source = reinterpret_cast<const int*>(scenes + blockIdx.y);
  for (int i = threadIdx.x; i < int(sizeof(Scene) / sizeof(int)); i += blockDim.x) shared[i] = source[i];
  __syncthreads();
  return *reinterpret_cast<const Scene*>(shared);
}

DEVICE long long entry_index(int count) {
  int index = blockIdx.x * blockDim.x + threadIdx.x;
  return index < count ? (long long)blockIdx.y * count + index : -1;
}

DEVICE Point load_point(const float* array, long long entry) {
  return {array[3 * entry], array[3 * entry + 1], array[3 * entry + 2]};
}

DEVICE void store_point(float* array, long long entry, Point p) {
  array[3 * entry] = p.x, array[3 * entry + 1] = p.y, array[3 * entry + 2] = p.z;
}

DEVICE Point along_ray(Point o, Point d, float t) { return {o.x + d.x * t, o.y + d.y * t, o.z + d.z * t}; }

// Distance along a ray to the surface; 0 = it misses.
FUNCTION float march(const Scene& scene, Point origin, Point direction) {
  float o[3] = {origin.x, origin.y, origin.z}, d[3] = {direction.x, direction.y, direction.z}, t, end;
  clip_to_box(scene, o, d, t, end);
  float last_t = t - 1.0f, last_d = 1.0f;
  for (int step = 0; step < MAX_STEPS && t <= end; ++step) {
    float now = distance(scene, along_ray(origin, direction, t));
    if (now < HIT_DISTANCE) return maximum(land(t, now, last_t, last_d), 1e-6f);
    last_t = t, last_d = now;
    t += maximum(now, HIT_DISTANCE);
  }
  return 0.0f;
}

extern "C" {

__global__ void gtr_distance(const Scene* scenes, const float* points, int count, float* out) {
  __shared__ int memory[sizeof(Scene) / sizeof(int)];
  const Scene& scene = shared_scene(scenes, memory);
  long long entry = entry_index(count);
  if (entry >= 0) out[entry] = distance(scene, load_point(points, entry));
}

__global__ void gtr_surface(const Scene* scenes, const float* points, int count, float* normals, float* colors) {
  __shared__ int memory[sizeof(Scene) / sizeof(int)];
  const Scene& scene = shared_scene(scenes, memory);
  long long entry = entry_index(count);
  if (entry < 0) return;
  Point p = load_point(points, entry), n = surface_normal(scene, p);
  store_point(normals, entry, n);
  store_point(colors, entry, surface_color(scene, p, n));
}

__global__ void gtr_trace(const Scene* scenes, const float* origins, const float* directions, int count, float* hit_t,
                          float* normals, float* colors) {
  __shared__ int memory[sizeof(Scene) / sizeof(int)];
  const Scene& scene = shared_scene(scenes, memory);
  long long entry = entry_index(count);
  if (entry < 0) return;
  Point o = load_point(origins, entry), d = load_point(directions, entry), n = {0.0f, 0.0f, 0.0f}, c = n;
  float t = march(scene, o, d);
  if (t > 0.0f) {
    Point p = along_ray(o, d, t);
    n = surface_normal(scene, p);
    if (colors) c = surface_color(scene, p, n);
  }
  hit_t[entry] = t;
  store_point(normals, entry, n);
  if (colors) store_point(colors, entry, c);
}

}
