package settings

import (
	"strings"
	"testing"
	"time"
)

func TestCommandsOfTheRun(t *testing.T) {
	s, err := Load([]string{"RIPPLEBAK_PRE=app: php artisan down", "RIPPLEBAK_POST= my-app_1.x :echo a: b ", "RIPPLEBAK_HOOK_TIMEOUT=90s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if (s.Pre != Hook{"app", "php artisan down"}) || (s.Post != Hook{"my-app_1.x", "echo a: b"}) || s.HookTime != 90*time.Second {
		t.Errorf("got %+v, %+v, %v", s.Pre, s.Post, s.HookTime)
	}
	if s, err = Load(nil, nil); err != nil || (s.Pre != Hook{}) || (s.Post != Hook{}) || s.HookTime != 30*time.Minute {
		t.Errorf("without any: %+v, %v", s, err)
	}
	for _, bad := range []string{"hunter2", "app:", ":hunter2", "app hunter2: x", "-app: hunter2", "a/b: hunter2", "app: hunter2\x00", "app: \xff", "app: " + strings.Repeat("x", 65<<10)} {
		_, err := Load([]string{"RIPPLEBAK_PRE=" + bad}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "RIPPLEBAK_PRE: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}
