"""Ways of carrying masks through a video. One file per method, written once for every tracker."""
