/* Tells the time of the monotonic clock, in ns: the end of one command under a lock, and the beginning of another. */
#include "times.h"

int main(void)
{
	const uint64_t time = now();
	if (printf("%llu\n", (unsigned long long)time) < 0 || fflush(stdout) != 0)
		fail("stamp: stdout");
	return 0;
}
