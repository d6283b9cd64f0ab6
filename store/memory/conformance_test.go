package memory_test

import (
	"testing"

	"github.com/metricstream/metricstream/store/memory"
	"github.com/metricstream/metricstream/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Store { return memory.New() })
}
