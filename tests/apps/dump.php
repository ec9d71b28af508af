<?php
// Shows what PHP knows of a request, as `php -S` starts it for every path.
header('Content-Type: application/json');
echo json_encode($_SERVER + ['get' => $_GET]);
