/* What the programs of the benchmark have in common: the clock, and many times of which percentiles are wanted. */
#ifndef TIMES_H
#define TIMES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline void *must(void *memory)
{
	if (memory == NULL)
		fail("load: memory");
	return memory;
}

static inline uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double seconds_since(uint64_t then)
{
	return (double)(now() - then) / 1e9;
}

struct times { /* in ns */
	uint64_t *of;
	size_t count, room;
};

static inline void add(struct times *times, uint64_t time)
{
	if (times->count == times->room) {
		times->room = times->room ? 2 * times->room : 4096;
		times->of = must(realloc(times->of, times->room * sizeof *times->of));
	}
	times->of[times->count++] = time;
}

static inline int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static inline void sort(struct times *times)
{
	if (times->count != 0)
		qsort(times->of, times->count, sizeof *times->of, compare);
}

/* in µs; the times must be sorted */
static inline double percentile(const struct times *times, double percent)
{
	if (times->count == 0)
		return 0;
	return (double)times->of[(size_t)((double)(times->count - 1) * percent / 100)] / 1e3;
}

#endif
