package sqlgen

import "strconv"

// The statistics of a tenant are about the series that are alive: those of the last two days that the tenant has.
// Until parts are merged a series has several rows, so everything is counted by id.

// SeriesStats returns one row: the number of series, and the first and the last day of their samples.
func SeriesStats(tenant string) Statement {
	var b builder
	b.whereAlive(tenant)
	return b.statement("SELECT uniqExact(id) AS series, toInt64(min(first_day)) AS first, toInt64(max(last_day)) AS last FROM series $WHERE")
}

// SeriesByMetric returns key and value: the metrics with the most series.
func SeriesByMetric(tenant string, limit int) Statement {
	var b builder
	b.whereAlive(tenant)
	return b.statement("SELECT name AS key, uniqExact(id) AS value FROM series $WHERE GROUP BY key ORDER BY value DESC, key LIMIT " + strconv.Itoa(limit))
}

// SeriesByPair returns key and value: the pairs of label and value with the most series, as label=value.
func SeriesByPair(tenant string, limit int) Statement {
	var b builder
	b.whereAlive(tenant)
	return b.statement("SELECT concat(label, '=', postings.value) AS key, uniqExact(id) AS value FROM postings $WHERE GROUP BY label, postings.value ORDER BY value DESC, key LIMIT " + strconv.Itoa(limit))
}

// Labels returns a row for each label name: how many values it has, and the bytes of the values in all series.
func Labels(tenant string) Statement {
	var b builder
	b.whereAlive(tenant)
	return b.statement("SELECT label AS key, count() AS values, sum(bytes) AS size FROM (SELECT label, value, length(value) * uniqExact(id) AS bytes FROM postings $WHERE GROUP BY label, value) GROUP BY key ORDER BY key")
}

func (b *builder) whereAlive(tenant string) {
	t := b.text(tenant)
	b.where("tenant = " + t)
	b.where("last_day >= (SELECT max(last_day) FROM series WHERE tenant = " + t + ") - 1")
}
