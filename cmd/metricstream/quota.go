package main

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"time"

	"github.com/metricstream/metricstream/remotewrite/quota"
)

// quotaLoadTimeout bounds how long a receiver waits at its start to hear what others know.
const quotaLoadTimeout = 3 * time.Second

// quota starts what counts the use of limits on ingest, shared over Redis where one is configured.
func (n *node) quota() *quota.Ledger {
	o := quota.Options{Logger: n.logger, Registerer: n.registry}
	if n.config.Redis.Address != "" {
		client := n.redis()
		o.Shared, o.Journal = quota.NewRedis(client, rand.Text()), quota.NewRedisJournal(client)
	} else {
		o.Journal = quota.NewFiles(filepath.Join(n.config.Storage.Path, "limits"))
	}
	ledger := quota.New(o)
	ctx, cancel := context.WithTimeout(context.Background(), quotaLoadTimeout)
	defer cancel()
	ledger.Load(ctx)
	n.stack.Go("the use of limits", ledger.Run)
	return ledger
}
