/* SPDX-License-Identifier: ISC */
/* See render.h. Runs in the monitor. */
#include "figures/render.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "figures/figures.h"

#define BUCKETS_MAX 32

struct renderer {
	struct buf *out;
	enum figures_format format;
	int64_t now_wall_us, now_mono_ms;
	bool fits;
};

static void put(struct renderer *r, const char *text)
{
	r->fits = r->fits && buf_adds(r->out, text);
}

/*
 * Names are an operator's, but a path is what the file system has: what is no UTF-8, and what would be a line
 * of its own, is shown as a question mark.
 */
static void put_quoted(struct renderer *r, const char *text)
{
	size_t len = strlen(text), n;
	uint32_t code;

	put(r, "\"");
	for (; len > 0; text += n, len -= n) {
		n = utf8_decode(text, len, &code);
		if (n == 0 || code < 0x20 || code == 0x7f) {
			n = n ? n : 1;
			put(r, "?");
		} else {
			if (code == '"' || code == '\\')
				put(r, "\\");
			r->fits = r->fits && buf_add(r->out, text, n);
		}
	}
	put(r, "\"");
}

static void put_seconds(struct renderer *r, int64_t us)
{
	const char *sign = us < 0 ? "-" : "";
	uint64_t n = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;

	r->fits = r->fits && buf_addf(r->out, "%s%" PRIu64 ".%06" PRIu64, sign, n / 1000000, n % 1000000);
}

/* How old a moment is; 0: there was none, or it is yet to come. */
static int64_t age(int64_t moment, int64_t now)
{
	return moment == 0 || moment > now ? 0 : now - moment;
}

static void put_value(struct renderer *r, const struct figure_info *f, int64_t value)
{
	switch (f->unit) {
	case FIGURE_NUMBER:
	case FIGURE_BYTES:
		r->fits = r->fits && buf_addf(r->out, "%" PRId64, value);
		break;
	case FIGURE_MICROSECONDS:
		put_seconds(r, value);
		break;
	case FIGURE_WALL_MOMENT:
		put_seconds(r, age(value, r->now_wall_us));
		break;
	case FIGURE_MONO_MOMENT:
		put_seconds(r, age(value, r->now_mono_ms) * 1000);
		break;
	}
}

/* NULL: there is no such value (now). */
static const char *label_value(const struct figure_info *f, const struct figure_label *l, unsigned index)
{
	const char *name;
	int in_use;

	if (l->words)
		return l->words[index];
	name = figures_name_at(l->names, index, &in_use);
	/* a gauge of what is not configured any more says nothing */
	return name && (in_use || f->kind != FIGURE_GAUGE) ? name : NULL;
}

/* One line up to its value. le: of a bucket, NULL: none. */
static void put_name(struct renderer *r, const struct figure_info *f, const char *suffix,
		     const char *const *value, const char *le)
{
	const char *before = "{";

	put(r, f->name);
	put(r, suffix);
	for (int i = 0; i < FIGURE_LABELS; i++) {
		if (!value[i])
			continue;
		put(r, before);
		put(r, f->label[i].name);
		put(r, "=");
		put_quoted(r, value[i]);
		before = ",";
	}
	if (le) {
		put(r, before);
		put(r, "le=\"");
		put(r, le);
		put(r, "\"");
		before = ",";
	}
	put(r, *before == ',' ? "} " : " ");
}

static void put_bound(const struct figure_info *f, int64_t bound, struct buf *out)
{
	char *end;

	buf_clear(out);
	/* "0.0025", "1.0", "1048576.0": the shortest with a point, which is canonical in OpenMetrics */
	if (f->unit == FIGURE_MICROSECONDS) {
		buf_addf(out, "%" PRId64 ".%06" PRId64, bound / 1000000, bound % 1000000);
		end = out->data + out->len;
		while (end[-1] == '0' && end[-2] != '.')
			end--;
		*end = '\0';
		out->len = (size_t)(end - out->data);
	} else {
		buf_addf(out, "%" PRId64 ".0", bound);
	}
}

static void put_histogram(struct renderer *r, enum figure index, unsigned a, const char *const *value)
{
	const struct figure_info *f = &figure_table[index];
	unsigned n = figure_bounds_count(f);
	uint64_t bucket[BUCKETS_MAX], total = 0;
	struct buf bound;
	int64_t sum;

	ASSERT(n < BUCKETS_MAX);
	buf_init(&bound, 64);
	figures_histogram(index, a, bucket, &sum);
	for (unsigned i = 0; i <= n; i++) {
		total += bucket[i];
		if (i < n)
			put_bound(f, f->bounds[i], &bound);
		put_name(r, f, "_bucket", value, i < n ? bound.data : "+Inf");
		r->fits = r->fits && buf_addf(r->out, "%" PRIu64 "\n", total);
	}
	put_name(r, f, "_sum", value, NULL);
	put_value(r, f, sum);
	put(r, "\n");
	put_name(r, f, "_count", value, NULL);
	r->fits = r->fits && buf_addf(r->out, "%" PRIu64 "\n", total);
	buf_release(&bound);
}

static void put_one(struct renderer *r, enum figure index, unsigned a, unsigned b, const char *const *value)
{
	const struct figure_info *f = &figure_table[index];
	int64_t n;

	if (f->kind == FIGURE_HISTOGRAM) {
		put_histogram(r, index, a, value);
		return;
	}
	n = figures_get(index, a, b);
	if (n == 0 && f->sparse)
		return;
	put_name(r, f, f->kind == FIGURE_COUNTER ? "_total" : "", value, NULL);
	put_value(r, f, n);
	put(r, "\n");
}

static void put_head(struct renderer *r, const struct figure_info *f)
{
	static const char *const kinds[] = {
		[FIGURE_COUNTER] = "counter", [FIGURE_GAUGE] = "gauge", [FIGURE_HISTOGRAM] = "histogram"
	};
	bool open = r->format == FIGURES_OPENMETRICS;
	const char *suffix = !open && f->kind == FIGURE_COUNTER ? "_total" : "";
	const char *unit = figure_unit_name(f);

	r->fits = r->fits && buf_addf(r->out, "# TYPE %s%s %s\n", f->name, suffix, kinds[f->kind]);
	if (unit && open)
		r->fits = r->fits && buf_addf(r->out, "# UNIT %s %s\n", f->name, unit);
	r->fits = r->fits && buf_addf(r->out, "# HELP %s%s %s\n", f->name, suffix, f->help);
}

static void put_figure(struct renderer *r, enum figure index)
{
	const struct figure_info *f = &figure_table[index];
	const char *value[FIGURE_LABELS] = { NULL, NULL };

	put_head(r, f);
	for (unsigned a = 0; a < figure_label_size(&f->label[0]); a++) {
		if (f->label[0].name && !(value[0] = label_value(f, &f->label[0], a)))
			continue;
		for (unsigned b = 0; b < figure_label_size(&f->label[1]); b++) {
			if (f->label[1].name && !(value[1] = label_value(f, &f->label[1], b)))
				continue;
			put_one(r, index, a, b, value);
		}
	}
}

bool figures_render(struct buf *out, enum figures_format format, int64_t now_wall_us, int64_t now_mono_ms)
{
	struct renderer r = { out, format, now_wall_us, now_mono_ms, true };

	for (int i = 0; i < FIGURE_COUNT; i++)
		if (!figure_table[i].internal)
			put_figure(&r, (enum figure)i);
	if (format == FIGURES_OPENMETRICS)
		put(&r, "# EOF\n");
	return r.fits;
}

const char *figures_content_type(enum figures_format format)
{
	return format == FIGURES_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
					     : "text/plain; version=0.0.4; charset=utf-8";
}
