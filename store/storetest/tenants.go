package storetest

import (
	"fmt"

	"github.com/metricstream/metricstream/store"
)

var tenantCases = []testCase{
	{"two tenants with the same series never see each other", tenantsApart},
	{"names of any kind", tenantNames},
}

func tenantsApart(f *fixture) {
	for i, tenant := range []string{f.tenant, f.tenant + "-other"} {
		b := newBatch(tenant)
		b.sample(metric("up", "job", "a"), baseMs, float64(i)).exemplar(metric("up", "job", "a"), baseMs, float64(i), "id", tenant)
		b.sample(metric("only", "tenant", tenant), baseMs, float64(i)).meta("up", "gauge", tenant, "")
		b.histogram(metric("lat"), baseMs, intHistogram(uint64(i+1))).start(metric("up", "job", "a"), baseMs, int64(i+5))
		f.write(b)
	}
	for i, tenant := range []string{f.tenant, f.tenant + "-other"} {
		own := *f
		own.tenant = tenant
		own.expect(own.all(),
			fmt.Sprintf(`{__name__="lat"} %d=%s`, baseMs, formatInt(intHistogram(uint64(i+1)))),
			fmt.Sprintf(`{__name__="only", tenant="%s"} %d=%d`, tenant, baseMs, i),
			fmt.Sprintf(`{__name__="up", job="a"} %d=%d@%d`, baseMs, i, i+5))
		own.values("tenant", own.with(), tenant)
		own.values("tenant", own.with(eq("__name__", "only")), tenant)
		series, err := f.store.Series(f.Context(), own.all())
		if err != nil || len(series) != 3 {
			f.Errorf("series %v, %v", series, err)
		}
		list, err := f.store.Exemplars(f.Context(), own.all())
		if err != nil || len(list) != 1 || len(list[0].Exemplars) != 1 || list[0].Exemplars[0].Labels.Get("id") != tenant {
			f.Errorf("exemplars %v, %v", list, err)
		}
		meta, err := f.store.Metadata(f.Context(), tenant, "")
		if err != nil {
			f.Fatal(err)
		}
		f.same([]store.Metadata{{Tenant: tenant, Name: "up", Type: "gauge", Help: tenant}}, meta)
	}
	third := *f
	third.tenant = f.tenant + "-third"
	nothing(&third)
}

func tenantNames(f *fixture) {
	names := []string{"o'brien", "a*b", "(x)", "!", "..-", "_", "A", "a"}
	for i, n := range names {
		b := newBatch(f.tenant + n)
		f.write(b.sample(metric("m"), baseMs, float64(i)))
	}
	for i, n := range names {
		own := *f
		own.tenant = f.tenant + n
		own.expect(own.all(), fmt.Sprintf(`{__name__="m"} %d=%d`, baseMs, i))
	}
}
