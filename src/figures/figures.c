/* SPDX-License-Identifier: ISC */
/* See figures.h. Runs in every process of a service. */
#include "figures/figures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/descriptors.h"

typedef _Atomic int64_t cell;

/* Where a figure's cells begin in its area, and how many there are of it. */
static struct {
	size_t first, each, count;
} place[FIGURE_COUNT];

static struct {
	cell *cells; /* NULL: not mapped here */
	size_t count;
	bool writable;
	int fd; /* sealed: what is mapped by it from now on cannot be written to; -1: this kernel cannot do that */
} area[FIGURES_AREAS] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };

static struct {
	char *name[FIGURES_NAMES_MAX - 1]; /* owned */
	bool in_use[FIGURES_NAMES_MAX - 1];
	unsigned count;
} names[FIGURES_NAMES];

/* ---- memory ------------------------------------------------------------------------ */

static void lay_out(void)
{
	for (int i = 0; i < FIGURES_AREAS; i++)
		area[i].count = 0;
	for (int i = 0; i < FIGURE_COUNT; i++) {
		const struct figure_info *f = &figure_table[i];
		size_t *used = &area[f->area].count;

		place[i].first = *used;
		/* a histogram: its buckets, the one above all bounds, the sum */
		place[i].each = f->kind == FIGURE_HISTOGRAM ? figure_bounds_count(f) + 2 : 1;
		place[i].count =
			place[i].each * figure_label_size(&f->label[0]) * figure_label_size(&f->label[1]);
		*used += place[i].count;
	}
}

/*
 * The last mapping that can be written to: children inherit it, and nobody gets another (F_SEAL_FUTURE_WRITE,
 * Linux 5.1). Where the kernel does not know that, memory without a name has to do.
 */
static void *map_area(int i)
{
	size_t size = area[i].count * sizeof(cell);
	int fd = memfd_create("posthouse-figures", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0) {
		area[i].fd = fd;
		return p;
	}
	if (p != MAP_FAILED)
		munmap(p, size);
	if (fd >= 0)
		close(fd);
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

int figures_open(struct err *e)
{
	lay_out();
	for (int i = 0; i < FIGURES_AREAS; i++) {
		void *p = map_area(i);

		if (p == MAP_FAILED) {
			err_set_os(e, errno, "cannot map shared memory for figures");
			figures_close();
			return -1;
		}
		area[i].cells = p;
		area[i].writable = true;
	}
	return 0;
}

static void unmap(int i)
{
	if (area[i].cells)
		munmap(area[i].cells, area[i].count * sizeof(cell));
	area[i].cells = NULL;
	area[i].writable = false;
}

static void close_files(void)
{
	for (int i = 0; i < FIGURES_AREAS; i++)
		descriptors_close(&area[i].fd);
}

void figures_close(void)
{
	figures_become_nobody();
	for (int k = 0; k < FIGURES_NAMES; k++) {
		for (unsigned i = 0; i < names[k].count; i++)
			free(names[k].name[i]);
		names[k].count = 0;
	}
}

/* For good where there is a file. */
static void only_read(int i)
{
	size_t size = area[i].count * sizeof(cell);
	void *p;

	area[i].writable = false;
	if (!area[i].cells)
		return;
	if (area[i].fd < 0) {
		(void)mprotect(area[i].cells, size, PROT_READ);
		return;
	}
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, area[i].fd, 0);
	unmap(i);
	area[i].cells = p == MAP_FAILED ? NULL : p;
}

void figures_become(enum figures_area own)
{
	for (int i = 0; i < FIGURES_AREAS; i++) {
		if (i == (int)own)
			continue;
		if (own == FIGURES_OF_MONITOR)
			only_read(i);
		else
			unmap(i);
	}
	close_files();
}

void figures_become_nobody(void)
{
	for (int i = 0; i < FIGURES_AREAS; i++)
		unmap(i);
	close_files();
}

/* ---- names ------------------------------------------------------------------------- */

void figures_names_renew(void)
{
	for (int k = 0; k < FIGURES_NAMES; k++)
		memset(names[k].in_use, 0, sizeof(names[k].in_use));
}

unsigned figures_find(enum figures_names kind, const char *name)
{
	for (unsigned i = 0; i < names[kind].count; i++)
		if (strcmp(names[kind].name[i], name) == 0)
			return i;
	return FIGURES_NAMES_MAX - 1;
}

unsigned figures_name(enum figures_names kind, const char *name)
{
	unsigned i = figures_find(kind, name);

	if (i == FIGURES_NAMES_MAX - 1 && names[kind].count < FIGURES_NAMES_MAX - 1) {
		i = names[kind].count++;
		names[kind].name[i] = mem_strdup(name);
	}
	if (i < FIGURES_NAMES_MAX - 1)
		names[kind].in_use[i] = true;
	return i;
}

const char *figures_name_at(enum figures_names kind, unsigned index, int *in_use)
{
	*in_use = 1;
	if (index == FIGURES_NAMES_MAX - 1)
		return names[kind].count == FIGURES_NAMES_MAX - 1 ? "(others)" : NULL;
	if (index >= names[kind].count)
		return NULL;
	*in_use = names[kind].in_use[index];
	return names[kind].name[index];
}

/* ---- cells ------------------------------------------------------------------------- */

static unsigned within(const struct figure_label *l, unsigned index)
{
	unsigned size = figure_label_size(l);

	return index < size ? index : size - 1;
}

/* NULL: not mapped here. */
static cell *cells_of(enum figure f, unsigned a, unsigned b)
{
	const struct figure_info *info = &figure_table[f];
	unsigned size = figure_label_size(&info->label[1]);

	if (!area[info->area].cells)
		return NULL;
	a = within(&info->label[0], a);
	b = within(&info->label[1], b);
	return area[info->area].cells + place[f].first + (a * (size_t)size + b) * place[f].each;
}

static cell *writable_cells(enum figure f, unsigned a, unsigned b)
{
	return area[figure_table[f].area].writable ? cells_of(f, a, b) : NULL;
}

void figures_add(enum figure f, unsigned a, unsigned b, uint64_t n)
{
	cell *c = writable_cells(f, a, b);

	ASSERT(figure_table[f].kind == FIGURE_COUNTER);
	if (c)
		atomic_fetch_add_explicit(c, (int64_t)n, memory_order_relaxed);
}

void figures_set(enum figure f, unsigned a, unsigned b, int64_t value)
{
	cell *c = writable_cells(f, a, b);

	ASSERT(figure_table[f].kind == FIGURE_GAUGE);
	if (c)
		atomic_store_explicit(c, value, memory_order_relaxed);
}

void figures_observe(enum figure f, unsigned a, int64_t value)
{
	const struct figure_info *info = &figure_table[f];
	cell *c = writable_cells(f, a, 0);
	unsigned i = 0;

	ASSERT(info->kind == FIGURE_HISTOGRAM);
	if (!c)
		return;
	if (value < 0) /* a clock that was set back */
		value = 0;
	while (info->bounds[i] && value > info->bounds[i])
		i++;
	atomic_fetch_add_explicit(&c[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c[place[f].each - 1], value, memory_order_relaxed);
}

void figures_reset_gauges(enum figures_area own)
{
	for (int i = 0; i < FIGURE_COUNT; i++) {
		if (figure_table[i].kind != FIGURE_GAUGE || figure_table[i].area != own ||
		    !area[own].writable)
			continue;
		for (size_t k = 0; k < place[i].count; k++)
			atomic_store_explicit(area[own].cells + place[i].first + k, 0, memory_order_relaxed);
	}
}

int64_t figures_get(enum figure f, unsigned a, unsigned b)
{
	cell *c = cells_of(f, a, b);

	return c ? atomic_load_explicit(c, memory_order_relaxed) : 0;
}

uint64_t figures_sum(enum figure f)
{
	cell *c = cells_of(f, 0, 0);
	uint64_t sum = 0;

	ASSERT(figure_table[f].kind == FIGURE_COUNTER);
	for (size_t i = 0; c && i < place[f].count; i++)
		sum += (uint64_t)atomic_load_explicit(&c[i], memory_order_relaxed);
	return sum;
}

void figures_histogram(enum figure f, unsigned a, uint64_t *bucket, int64_t *sum)
{
	unsigned n = figure_bounds_count(&figure_table[f]) + 1;
	cell *c = cells_of(f, a, 0);

	for (unsigned i = 0; i < n; i++)
		bucket[i] = c ? (uint64_t)atomic_load_explicit(&c[i], memory_order_relaxed) : 0;
	*sum = c ? atomic_load_explicit(&c[n], memory_order_relaxed) : 0;
}
