package clickhouse_test

import (
	"testing"

	"github.com/metricstream/metricstream/store/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Store { return open(t) })
}
