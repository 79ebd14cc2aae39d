package sticky

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/trip"
)

// wait is how long Redis may take for an answer, with all that it needs: a connection, perhaps
// another one.
const wait = 2 * time.Second

// redisStore is one central store: one trip to load a session and one to save it, with each
// request. A session lives as long as a waybill does from its last change.
type redisStore struct{ client *redis.Client }

// newRedis returns the store at a URL such as redis://redis:6379. It need not be there yet.
func newRedis(url string) (*redisStore, error) {
	o, err := redis.ParseURL(url)
	if err != nil || !strings.Contains(url, "://") { // redis:6379 is also a URL, and means this machine
		return nil, fmt.Errorf("sticky: the store is %q, want a URL such as redis://redis:6379", url)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.ContextTimeoutEnabled = wait, wait, wait, true
	// Try once more on another connection, and no more: the balancer and the travellers also try
	// again.
	o.DialerRetries, o.MaxRetries = 1, 1
	// Hosted stores announce that they move. This one does not.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(&logging.VoidLogger{}) // the client is told
	return &redisStore{redis.NewClient(o)}, nil
}

// Load implements sessions.
func (r *redisStore) Load(ctx context.Context, id string) (s trip.State, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	data, err := r.client.Get(ctx, keyOf(id)).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, errUnknown
	case err != nil:
		return nil, err
	}
	return s, json.Unmarshal(data, &s)
}

// Save implements sessions.
func (r *redisStore) Save(ctx context.Context, id string, s trip.State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return r.client.Set(ctx, keyOf(id), data, keys.Life).Err()
}

func keyOf(id string) string { return "session:" + id }
