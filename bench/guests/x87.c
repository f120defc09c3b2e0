/* The x87 unit: compiled for it in 32 and 64-bit mode. Only operations whose results the standard fixes. */
#include "bench.h"

/* Compilers keep values in the unit's 80-bit registers; what is stored is rounded to REAL. */
#define BODIES 5
#define NBODY(name, REAL, SQRT) \
    struct name##_body { REAL x, y, z, vx, vy, vz, mass; }; \
    static struct name##_body name##_bodies[BODIES]; \
    static void name##_step(void) \
    { \
        const REAL dt = (REAL)0.01; \
        for (int i = 0; i < BODIES; i++) { \
            struct name##_body *a = &name##_bodies[i]; \
            for (int j = i + 1; j < BODIES; j++) { \
                struct name##_body *b = &name##_bodies[j]; \
                REAL dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z; \
                REAL square = dx * dx + dy * dy + dz * dz; \
                REAL distance; \
                __asm__("fsqrt" : "=t"(distance) : "0"(square)); \
                REAL magnitude = dt / (square * distance); \
                a->vx -= dx * b->mass * magnitude; \
                a->vy -= dy * b->mass * magnitude; \
                a->vz -= dz * b->mass * magnitude; \
                b->vx += dx * a->mass * magnitude; \
                b->vy += dy * a->mass * magnitude; \
                b->vz += dz * a->mass * magnitude; \
            } \
        } \
        for (int i = 0; i < BODIES; i++) { \
            struct name##_body *a = &name##_bodies[i]; \
            a->x += dt * a->vx; \
            a->y += dt * a->vy; \
            a->z += dt * a->vz; \
        } \
    } \
    static void name##_start(void) \
    { \
        uint32_t seed = 4711; \
        for (int i = 0; i < BODIES; i++) { \
            REAL *field = &name##_bodies[i].x; \
            for (int j = 0; j < 7; j++) \
                field[j] = (REAL)(int32_t)next_random(&seed) / (REAL)268435456 + (REAL)(i * 3); \
            name##_bodies[i].mass = (REAL)(i + 1) / (REAL)8; \
        } \
    }

NBODY(extended, long double, )
NBODY(real, double, )

/* Exact bits of a value that is stored as a double. */
static uint64_t bits_of(const long double *value)
{
    union {
        double real;
        uint64_t bits;
    } u;
    u.real = (double)*value;
    return u.bits;
}

uint64_t bench_x87(uint32_t work)
{
    uint64_t sum = 5;
    extended_start();
    for (uint32_t round = 0; round < work; round++) {
        for (int i = 0; i < 100; i++)
            extended_step();
        for (int i = 0; i < BODIES; i++)
            sum = mix(sum, bits_of(&extended_bodies[i].x));
    }
    return sum;
}

/* Doubles in memory, precision control at 53 bits as many 32-bit systems set it. */
uint64_t bench_x87_double(uint32_t work)
{
    uint16_t before, control = 0x27F;
    __asm__ volatile("fnstcw %0" : "=m"(before));
    __asm__ volatile("fldcw %0" : : "m"(control));
    uint64_t sum = 6;
    real_start();
    for (uint32_t round = 0; round < work; round++) {
        for (int i = 0; i < 100; i++)
            real_step();
        for (int i = 0; i < BODIES; i++) {
            long double x = real_bodies[i].x;
            sum = mix(sum, bits_of(&x));
        }
    }
    __asm__ volatile("fldcw %0" : : "m"(before));
    return sum;
}
